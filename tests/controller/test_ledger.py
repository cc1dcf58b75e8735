from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from nas.controller.front import hypervolume, hypervolume_of
from nas.controller.history import Objective
from nas.controller.ledger import FILE, Ledger
from nas.errors import LedgerError
from nas.space.space import Space

SCORE = Objective("score", "score", "maximize")
SIZE = Objective("size", "params", "minimize")


def read_by_optuna(folder: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / "ledger.journal")))
    return optuna.load_study(study_name=None, storage=storage)


def run_some(ledger: Ledger, space: Space, count: int = 6) -> None:
    """Trials of every state: complete, stopped, failed, refused, running, complete ..."""
    rng = random.Random(0)
    for number in range(count):
        architecture = space.sample(rng)
        if number % 5 == 3:
            ledger.refuse(architecture, source="sampler", reason="too large")
            continue
        ledger.start(architecture, source="sampler", metrics={"params": 10.0})
        for epoch in (1, 2):
            ledger.report(number, {"epoch": epoch, "epochs": 2, "score": number + epoch / 10, "seconds": epoch * 1.5})
        if number % 5 == 0:
            ledger.finish(number, "complete", [number + 0.2])
        elif number % 5 == 1:
            ledger.finish(number, "stopped", [number + 0.2], "stopped by the scheduler")
        elif number % 5 == 2:
            ledger.finish(number, "failed", reason="ValueError: no")


def test_what_is_written_is_what_is_read(ledger: Ledger, space: Space) -> None:
    run_some(ledger, space)
    ledger.close()
    with Ledger.open(ledger.folder, space, [SCORE]) as again:
        assert again.trials == ledger.trials
        assert again.objectives == (SCORE,)
        assert [t.state for t in again.trials] == ["complete", "stopped", "failed", "refused", "running", "complete"]
        assert again.trials[0].seconds == 3.0
        assert again.trials[0].curve == ledger.trials[0].curve
        assert len(again.trials[4].curve) == 2
        assert again.trials[0].metrics["params"] == 10.0


def test_optuna_reads_it_as_a_study(ledger: Ledger, space: Space) -> None:
    run_some(ledger, space)
    study = read_by_optuna(ledger.folder)
    assert study.study_name == "run"
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["score"]
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL, TrialState.RUNNING]
    assert [t.state for t in study.trials] == [*states, TrialState.COMPLETE]
    for ours, theirs in zip(ledger.trials, study.trials, strict=True):
        assert theirs.params == ours.architecture.decisions
        assert theirs.user_attrs["digest"] == ours.digest
        assert theirs.user_attrs["architecture"] == ours.architecture.to_dict()
    assert study.best_value == 5.2
    assert study.trials[0].intermediate_values == {1: 0.1, 2: 0.2}
    assert study.trials[3].user_attrs["reason"] == "too large"
    assert optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())


def test_one_label_has_one_distribution(ledger: Ledger, space: Space) -> None:
    for architecture in list(space.enumerate())[:30]:
        ledger.start(architecture)
    distributions: dict[str, set[object]] = {}
    for trial in read_by_optuna(ledger.folder).trials:
        for label, distribution in trial.distributions.items():
            distributions.setdefault(label, set()).add(distribution)
    assert {label: len(some) for label, some in distributions.items()} == dict.fromkeys(distributions, 1)
    assert distributions["last"].pop().choices == (0, 1, 2, None, "all")


def test_two_objectives(tmp_path: Path, space: Space) -> None:
    with Ledger.create(tmp_path / "run", space, [SCORE, SIZE], name="mine") as ledger:
        ledger.start(space.reference)
        ledger.finish(0, "complete", [0.5, 10])
        with pytest.raises(LedgerError, match="expected the number of a running trial, got 0"):
            ledger.finish(0, "complete", [0.5, 10])
        ledger.start(space.reference)
        with pytest.raises(LedgerError, match="expected 2 values, got 1"):
            ledger.finish(1, "complete", [0.5])
    study = read_by_optuna(tmp_path / "run")
    assert study.study_name == "mine"
    assert study.metric_names == ["score", "size"]
    assert study.trials[0].values == [0.5, 10]
    with pytest.raises(LedgerError, match=r"expected the objectives of the search in .*, score, size, got score"):
        Ledger.open(tmp_path / "run", space, [SCORE])


def test_an_epoch_that_comes_again_replaces_what_came_after(ledger: Ledger, space: Space) -> None:
    ledger.start(space.reference)
    for epoch in (1, 2, 3):
        ledger.report(0, {"epoch": epoch, "score": 0.5})
    ledger.report(0, {"epoch": 2, "score": 0.9})
    assert [(m["epoch"], m["score"]) for m in ledger.trials[0].curve] == [(1, 0.5), (2, 0.9)]
    assert Ledger.read(ledger.folder, space).trials[0].curve == ledger.trials[0].curve


def test_metrics_that_are_no_numbers_of_json_are_kept(ledger: Ledger, space: Space) -> None:
    ledger.start(space.reference)
    ledger.report(0, {"epoch": 1, "score": math.nan, "loss": math.inf})
    [trial] = Ledger.read(ledger.folder, space).trials
    assert math.isnan(trial.metrics["score"])
    assert trial.metrics["loss"] == math.inf
    assert read_by_optuna(ledger.folder).trials[0].intermediate_values == {}


def test_reading_needs_no_lock_and_changes_nothing(ledger: Ledger, space: Space) -> None:
    run_some(ledger, space)
    before = {path.name: path.read_bytes() for path in ledger.folder.iterdir()}
    history = Ledger.read(ledger.folder, space, [SCORE], budget=7)
    assert history.trials == tuple(ledger.trials)
    assert history.budget == 7
    assert history.best == ledger.trials[5]
    assert {path.name: path.read_bytes() for path in ledger.folder.iterdir()} == before


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_last_line_is_dropped_and_nothing_else(ledger: Ledger, space: Space, cut: int) -> None:
    run_some(ledger, space)
    ledger.close()
    journal = ledger.folder / "ledger.journal"
    whole = journal.read_bytes()
    with journal.open("r+b") as file:
        file.truncate(len(whole) - cut)
    assert len(Ledger.read(ledger.folder, space).trials) == 6
    with Ledger.open(ledger.folder, space) as again:
        assert again.trials[:5] == ledger.trials[:5]
        assert again.trials[5].state == "running"
        assert again.trials[5].curve == ledger.trials[5].curve
        again.finish(5, "complete", [5.2])
    assert Ledger.read(ledger.folder, space).trials[:5] == tuple(ledger.trials[:5])
    assert read_by_optuna(ledger.folder).best_value == 5.2


def test_a_last_line_of_zeros_is_dropped(ledger: Ledger, space: Space) -> None:
    run_some(ledger, space)
    ledger.close()
    with (ledger.folder / "ledger.journal").open("ab") as file:
        file.write(b"\0" * 100 + b"\n")
    with Ledger.open(ledger.folder, space) as again:
        assert again.trials == ledger.trials


def test_a_line_damaged_in_the_middle_is_said(ledger: Ledger, space: Space) -> None:
    run_some(ledger, space)
    ledger.close()
    journal = ledger.folder / "ledger.journal"
    journal.write_bytes(journal.read_bytes().replace(b'"op_code":4', b'"op_co', 1))
    with pytest.raises(LedgerError, match="got a damaged one"):
        Ledger.open(ledger.folder, space)


def test_the_lock_of_a_dead_writer_is_removed(ledger: Ledger, space: Space) -> None:
    ledger.close()
    journal = ledger.folder / "ledger.journal"
    os.symlink(journal, f"{journal}.lock")
    os.utime(f"{journal}.lock", (1, 1), follow_symlinks=False)
    with Ledger.open(ledger.folder, space) as again:
        again.start(space.reference)
    assert not os.path.lexists(f"{journal}.lock")


def test_a_second_driver_is_refused_while_the_first_lives(ledger: Ledger, space: Space) -> None:
    with pytest.raises(LedgerError, match=rf"process {os.getpid()} is running in it"):
        Ledger.open(ledger.folder, space)
    ledger.close()
    Ledger.open(ledger.folder, space).close()


def test_a_driver_killed_gives_the_folder_back(tmp_path: Path, space: Space) -> None:
    Ledger.create(tmp_path / "run", space, [SCORE]).close()
    script = f"""
import time
from pathlib import Path
from nas.controller.lock import RunLock
lock = RunLock(Path({str(tmp_path / "run")!r}))
print("held", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match=f"process {driver.pid} is running in it"):
            Ledger.open(tmp_path / "run", space)
        driver.kill()
    Ledger.open(tmp_path / "run", space).close()


def test_a_folder_with_another_search_is_refused(ledger: Ledger, space: Space) -> None:
    run_some(ledger, space)
    ledger.close()
    before = {path.name: path.read_bytes() for path in ledger.folder.iterdir()}
    with pytest.raises(LedgerError, match="holds another search; resume it or give another folder"):
        Ledger.create(ledger.folder, space, [SCORE])
    assert {path.name: path.read_bytes() for path in ledger.folder.iterdir()} == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path, space: Space) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(LedgerError, match=r"expected an empty folder, got .* with 'thesis\.tex' in it"):
        Ledger.create(tmp_path, space, [SCORE])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(LedgerError, match="expected a folder, got the file"):
        Ledger.create(tmp_path / "thesis.tex", space, [SCORE])


def test_a_search_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        with pytest.raises(LedgerError, match="got a folder without"):
            Ledger.read(tmp_path / "run", space)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", killed)
        with pytest.raises(KeyboardInterrupt):
            Ledger.create(tmp_path / "run", space, [SCORE])
    with Ledger.create(tmp_path / "run", space, [SCORE]) as ledger:
        assert ledger.trials == []
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["ledger.journal", "lock"]


def test_a_folder_without_a_search_is_said(tmp_path: Path, space: Space) -> None:
    with pytest.raises(LedgerError, match=r"expected a search in .*, got a folder without ledger\.journal"):
        Ledger.open(tmp_path, space)
    assert not list(tmp_path.iterdir())


def test_a_journal_of_someone_else_is_said(tmp_path: Path, space: Space) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "ledger.journal")))
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "theirs")
    with pytest.raises(LedgerError, match="expected the study of one search"):
        Ledger.open(tmp_path, space)


def test_a_full_disk_loses_nothing(ledger: Ledger, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    run_some(ledger, space, 5)
    before = (ledger.folder / "ledger.journal").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LedgerError, match="No space left on device; what was recorded before is safe"):
            ledger.finish(4, "complete", [0.3])
    assert (ledger.folder / "ledger.journal").read_bytes() == before
    ledger.finish(4, "complete", [0.3])
    assert read_by_optuna(ledger.folder).trials[4].value == 0.3


def test_what_a_trial_writes_does_not_grow(ledger: Ledger, space: Space) -> None:
    sizes = []
    journal = ledger.folder / "ledger.journal"
    for number, architecture in enumerate(list(space.enumerate())[:20]):
        before = journal.stat().st_size
        ledger.start(architecture)
        ledger.report(number, {"epoch": 1, "score": 0.5})
        ledger.finish(number, "complete", [0.5])
        sizes.append(journal.stat().st_size - before)
    assert max(sizes) < 1.7 * min(sizes)
    assert max(len(line) for line in journal.read_bytes().splitlines()) < 4000
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_the_front_and_the_hypervolume_are_in_the_ledger(tmp_path: Path, space: Space) -> None:
    size = Objective("size", "size", "minimize")
    rng = random.Random(0)
    values = [(float(rng.randrange(10)), float(rng.randrange(10))) for _ in range(14)]
    with Ledger.create(tmp_path / "run", space, [SCORE, size]) as ledger:
        for number, pair in enumerate(values):
            ledger.start(space.sample(rng))
            ledger.finish(number, "complete", pair)
        found = ledger.history()
    study = optuna.load_study(
        study_name="run", storage=JournalStorage(JournalFileBackend(str(tmp_path / "run" / FILE)))
    )
    assert study.user_attrs["front"] == [trial.number for trial in study.best_trials]
    score, worst = min(pair[0] for pair in values[:10]), max(pair[1] for pair in values[:10])
    assert study.user_attrs["reference"] == [score, worst]
    over_time = [trial.user_attrs.get("metrics", {}).get("hypervolume") for trial in study.trials]
    assert over_time[:9] == [None] * 9, "there is no reference before the tenth"
    assert over_time[9:] == sorted(over_time[9:])
    assert over_time[9] == hypervolume([(-a, b) for a, b in values[:10]], (-score, worst))
    assert over_time[13] == hypervolume([(-a, b) for a, b in values], (-score, worst)) == hypervolume_of(found)
    assert Ledger.read(tmp_path / "run", space).trials[13].metrics["hypervolume"] == over_time[13]
