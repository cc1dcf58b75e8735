"""Thirty times `kill -9` over one search, which ends as if nothing had been; a full disk; drivers that race."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from acts import space_of

from nas.controller.history import Trial
from nas.controller.ledger import Ledger

DRIVE = Path(__file__).with_name("drive_local.py")
SPACE = space_of("work", sizes=1000)
KILLS, TRIALS, EPOCHS = 30, 40, 3


def start(folder: Path, *, budget: int = TRIALS, pause: float = 0.25, most_bytes: int = 0) -> subprocess.Popen[str]:
    """A driver; one with `most_bytes` cannot write files beyond that, as on a disk that is full."""

    def limit() -> None:
        if most_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.Popen(
        [sys.executable, str(DRIVE), str(folder), str(budget), str(pause), str(EPOCHS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def trials_of(folder: Path) -> Sequence[Trial]:
    return Ledger.read(folder, SPACE).trials if (folder / "ledger.journal").exists() else ()


@pytest.mark.slow
def test_thirty_kills_lose_nothing(tmp_path: Path) -> None:
    folder, rng = tmp_path / "run", random.Random(0)
    finished: dict[int, Trial] = {}
    resumed: set[int] = set()
    for kill in range(KILLS):
        driver = start(folder)
        time.sleep(rng.uniform(0.2, 1.7))
        driver.kill()
        out, err = driver.communicate()
        assert (driver.returncode, out, err) == (-9, "", ""), f"kill {kill}: the search ended by itself"
        trials = trials_of(folder)
        assert all(trials[number] == trial for number, trial in finished.items()), f"kill {kill} changed a record"
        finished |= {trial.number: trial for trial in trials if trial.finished}
        resumed |= {trial.number for trial in trials if trial.curve and not trial.finished}
    assert resumed, "some kills came in the middle of a trial"
    out, err = start(folder, pause=0.0).communicate(timeout=60)
    assert (out, err) == ("budget\n", "")
    trials = trials_of(folder)
    assert all(trials[number] == trial for number, trial in finished.items())
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {"complete"}
    assert len({trial.digest for trial in trials}) == TRIALS
    assert all([epoch["epoch"] for epoch in trial.curve] == [1, 2, 3] for trial in trials)
    assert all(trials[number].curve[-1]["started_at"] > 1 for number in resumed), "from their checkpoints"


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert start(folder, budget=3, pause=0.0).communicate(timeout=60) == ("budget\n", "")
    before = trials_of(folder)
    full = (folder / "ledger.journal").stat().st_size + 700
    out, err = start(folder, budget=9, pause=0.0, most_bytes=full).communicate(timeout=60)
    assert (out, err.splitlines()[-1].partition(": ")[0]) == ("", "nas.errors.LedgerError")
    assert "what was recorded before is safe" in err
    assert trials_of(folder)[:3] == before
    assert start(folder, budget=9, pause=0.0).communicate(timeout=60) == ("budget\n", "")
    after = trials_of(folder)
    assert after[:3] == before
    assert [trial.state for trial in after] == ["complete"] * 9


def test_of_drivers_that_start_at_one_instant_one_wins(tmp_path: Path) -> None:
    for round_ in range(2):
        drivers = [start(tmp_path / str(round_), budget=3, pause=0.3) for _ in range(4)]
        said = [driver.communicate(timeout=60) for driver in drivers]
        assert sorted(out for out, _ in said) == ["", "", "", "budget\n"]
        assert all("LedgerError" in err for out, err in said if not out)
        assert [trial.state for trial in trials_of(tmp_path / str(round_))] == ["complete"] * 3


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(folder, budget=2, pause=0.0).communicate(timeout=60)
    before = trials_of(folder)
    whole = (folder / "ledger.journal").read_bytes()
    with (folder / "ledger.journal").open("ab") as file:
        file.write(whole.splitlines()[-1][: os.getpid() % 40 + 5])
    assert start(folder, budget=4, pause=0.0).communicate(timeout=60) == ("budget\n", "")
    assert trials_of(folder)[:2] == before
    assert len(trials_of(folder)) == 4
