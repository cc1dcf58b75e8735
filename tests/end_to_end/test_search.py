"""A whole search in this process, and what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import nas
from nas.controller.ledger import Ledger
from nas.errors import ConfigError, LedgerError

LOAD = """
import runpy, sys, torch
sys.modules["nas"] = sys.modules["nas_plugins"] = None       # importing either now fails
model = runpy.run_path(sys.argv[1])["load"]()
torch.manual_seed(0)
print(model(torch.rand(4, 1, 8, 8) * 16).sum(0).tolist())
"""


OPTIONS: dict[str, Any] = {"trials": 4, "epochs": 1, "runner": "local", "seed": 3, "proxies": ()}
"""Without zero-cost scores, of which a clock says how many there may be."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> nas.Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return nas.search("cell_cnn:channels=4", out=folder, **OPTIONS)


def test_every_trial_is_another_network_and_complete(finished: nas.Run) -> None:
    assert [trial.state for trial in finished.trials] == ["complete"] * 4
    assert len({trial.digest for trial in finished.trials}) == 4
    assert finished.trials[0].source == "reference"
    assert {trial.source for trial in finished.trials[1:]} == {"auto"}


def test_the_best_is_the_one_with_the_highest_accuracy(finished: nas.Run) -> None:
    assert finished.best is not None
    assert finished.best.values is not None
    assert finished.best.values[0] == max(trial.values[0] for trial in finished.trials if trial.values)
    assert 0.1 < finished.results["test_accuracy"] <= 1


def test_the_exported_model_runs_without_this_package_and_equals_the_trained_one(finished: nas.Run) -> None:
    file = finished.folder / "best" / "model.py"
    done = subprocess.run([sys.executable, "-c", LOAD, str(file)], capture_output=True, text=True, check=True)
    network = finished.load()
    torch.manual_seed(0)
    with torch.no_grad():
        ours = network(torch.rand(4, 1, 8, 8) * 16).sum(0)
    assert torch.allclose(torch.tensor(json.loads(done.stdout)), ours, atol=1e-5)


def test_optuna_opens_the_ledger_as_it_is(finished: nas.Run) -> None:
    import optuna

    storage = JournalStorage(JournalFileBackend(str(finished.folder / "ledger.journal")))
    study = optuna.load_study(study_name=None, storage=storage)
    assert study.best_value == finished.best.values[0]  # type: ignore[union-attr, index]
    assert study.trials[1].params == dict(finished.trials[1].architecture.decisions)


def test_a_run_that_is_opened_again_is_the_same(finished: nas.Run) -> None:
    again = nas.load_run(finished.folder)
    assert list(again.trials) == list(finished.trials)
    assert again.architecture.digest == finished.architecture.digest


def test_the_same_seed_finds_the_same(finished: nas.Run, tmp_path: Path) -> None:
    again = nas.search("cell_cnn:channels=4", out=tmp_path / "run", **OPTIONS)
    assert [(t.digest, t.values) for t in again.trials] == [(t.digest, t.values) for t in finished.trials]


def test_resume_adds_trials_with_another_strategy(finished: nas.Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(finished.folder), str(folder)], check=True)
    more = nas.resume(folder, trials=2, strategy="random")
    assert list(more.trials[:4]) == list(finished.trials)
    assert [trial.source for trial in more.trials[4:]] == ["random", "random"]
    assert nas.resume(folder).reason == "the budget of 6 trials is spent"


def test_a_used_folder_is_refused_and_untouched(finished: nas.Run) -> None:
    before = (finished.folder / "ledger.journal").read_bytes()
    with pytest.raises(LedgerError, match="holds another search"):
        nas.search("cell_cnn", "digits", runner="local", out=finished.folder)
    assert (finished.folder / "ledger.journal").read_bytes() == before


def test_resume_refuses_what_would_change_the_meaning_of_its_values(finished: nas.Run) -> None:
    with pytest.raises(ConfigError, match="cannot change 'seed'"):
        nas.resume(finished.folder, seed=4)


def test_only_the_best_checkpoints_are_kept(finished: nas.Run) -> None:
    kept = {int(folder.name) for folder in (finished.folder / "checkpoints").iterdir()}
    ranked = sorted(finished.trials, key=lambda trial: trial.values[0], reverse=True)  # type: ignore[index]
    assert kept == {trial.number for trial in ranked[:3]}


def test_the_log_has_a_line_a_trial(finished: nas.Run) -> None:
    lines = (finished.folder / "trials.csv").read_text().splitlines()
    assert lines[0].startswith("number,state,source,digest,seconds,cached,reason,val_accuracy,edge01")
    assert [line.split(",")[3] for line in lines[1:]] == [trial.digest for trial in finished.trials]


def test_time_is_left_over_from_session_to_session(tmp_path: Path) -> None:
    first = nas.search("cell_cnn:channels=4", trials=2, time="10m", epochs=1, runner="local", out=tmp_path / "run")
    with Ledger.open(first.folder, first.history.space) as ledger:
        trained = sum(trial.seconds for trial in first.trials)
        assert ledger.busy_seconds == pytest.approx(trained, rel=0.2)
    short = json.loads((first.folder / "config.json").read_text())
    short["config"]["time"] = 0.001
    (first.folder / "config.json").write_text(json.dumps(short))
    assert len(nas.resume(first.folder, trials=2).trials) == 2, "the time is spent"
    assert len(nas.resume(first.folder, time="10m").trials) == 4
