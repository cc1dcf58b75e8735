"""Searches in processes of their own, each with a Ray of its own, that are killed and gone on with."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from acts import space_of
from ray._private.services import find_gcs_addresses

from nas.controller.history import Trial
from nas.controller.ledger import Ledger
from nas.errors import ConfigError, LedgerError
from nas.runner.cluster import Cluster
from nas.runner.spec import Resources

DRIVE = Path(__file__).with_name("drive.py")
SPACE = space_of("work", sizes=1000)


DRIVERS: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_driver_is_left() -> Iterator[None]:
    yield
    while DRIVERS:
        driver = DRIVERS.pop()
        driver.kill()
        driver.communicate()


def start(
    folder: Path, *, budget: int, pause: float, epochs: int, made_in: float = 0.0, seconds: float = 1000.0
) -> subprocess.Popen[str]:
    told = map(str, (folder, budget, pause, epochs, made_in, seconds))
    command = [sys.executable, str(DRIVE), *told]
    pipe = subprocess.PIPE
    DRIVERS.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True))
    return DRIVERS[-1]


def trials_of(folder: Path) -> Sequence[Trial]:
    return Ledger.read(folder, SPACE).trials if (folder / "ledger.journal").exists() else ()


def epochs_of(trials: Sequence[Trial]) -> int:
    return sum(len(trial.curve) for trial in trials)


def started(trials: Sequence[Trial]) -> list[int]:
    """Numbers of the trials in flight that have something to go on from."""
    return [trial.number for trial in trials if trial.curve and not trial.finished]


def wait_for(folder: Path, enough: Callable[[Sequence[Trial]], bool]) -> None:
    until = time.monotonic() + 60
    while not enough(trials_of(folder)):
        assert time.monotonic() < until, trials_of(folder)
        time.sleep(0.1)


@pytest.mark.slow
def test_a_search_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    folder, rng = tmp_path / "run", random.Random(4)
    for kill in range(2):
        driver = start(folder, budget=8, pause=0.5, epochs=3)
        before = epochs_of(trials_of(folder))
        wait_for(folder, lambda trials, n=before: epochs_of(trials) > n + 3 and bool(started(trials)))  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.3))
        workers = [p for p in psutil.Process(driver.pid).children(recursive=True) if "Agent" not in p.name()]
        finished = [trial for trial in trials_of(folder) if trial.finished]
        driver.kill()
        driver.communicate()
        assert all(trials_of(folder)[trial.number] == trial for trial in finished), f"kill {kill}"
        assert not psutil.wait_procs(workers, timeout=40)[1], "Ray dies with its driver"
    left = started(trials_of(folder))
    assert left
    out, err = start(folder, budget=8, pause=0.05, epochs=3).communicate(timeout=100)
    assert (out.split()[0], err) == ("budget", "")
    trials = trials_of(folder)
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} == {"complete"}
    assert len({trial.digest for trial in trials}) == 8
    for trial in trials:
        epochs = [metrics["epoch"] for metrics in trial.curve]
        assert epochs == sorted(set(epochs))
        assert epochs[-1] == 3
    assert all(trials[number].curve[-1]["started_at"] > 1 for number in left), "went on from a checkpoint"


@pytest.mark.slow
def test_a_ray_that_dies_is_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = start(folder, budget=4, pause=0.5, epochs=6)
    wait_for(folder, lambda trials: epochs_of(trials) > 3 and bool(started(trials)))
    raylet = next(p for p in psutil.Process(driver.pid).children(recursive=True) if p.name() == "raylet")
    left = started(trials_of(folder))
    raylet.kill()
    out, err = driver.communicate(timeout=100)
    assert out.splitlines()[-1].split()[0] == "budget"
    assert "Ray has died; starting it again" in err
    trials = trials_of(folder)
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert all([metrics["epoch"] for metrics in trial.curve] == [1, 2, 3, 4, 5, 6] for trial in trials)
    assert all(trials[number].curve[-1]["started_at"] > 1 for number in left), "went on from a checkpoint"


@pytest.mark.slow
def test_ctrl_c_and_a_second_driver(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = start(folder, budget=100, pause=0.7, epochs=1000)
    wait_for(folder, lambda trials: sum(bool(trial.curve) for trial in trials) == 2)
    with pytest.raises(LedgerError, match=f"process {driver.pid} is running in it"):
        Ledger.open(folder, SPACE)
    out, err = start(folder, budget=100, pause=0.3, epochs=1000).communicate(timeout=60)
    assert "LedgerError" in err
    before = {trial.number: len(trial.curve) for trial in trials_of(folder)}
    interrupted = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: Ray's processes get it too
    out, err = driver.communicate(timeout=60)
    assert time.monotonic() - interrupted < 5
    assert (driver.returncode, out.split()[0]) == (0, "interrupted")
    assert err.strip() == "finishing the epochs that run, then leaving; again to leave now"
    trials = trials_of(folder)
    assert {trial.state for trial in trials} == {"running"}
    assert all(len(trial.curve) > before[trial.number] for trial in trials), "the epochs that ran were finished"
    Ledger.open(folder, SPACE).close()


@pytest.mark.slow
@pytest.mark.parametrize("made_in", [0.0, 1000.0])
def test_the_deadline_is_kept_whatever_workers_do(tmp_path: Path, made_in: float) -> None:
    """In the middle of an epoch, and while workers are still being made."""
    driver = start(tmp_path / "run", budget=9, pause=1000, epochs=9, made_in=made_in, seconds=20)
    out, err = driver.communicate(timeout=60)
    cause, left = out.split()
    assert (cause, err) == ("time", "")
    assert -5 < int(left) <= 0
    assert [trial.state for trial in trials_of(tmp_path / "run")] == ["running"] * 2


def test_no_cluster_on_this_machine_is_said() -> None:
    if find_gcs_addresses():
        pytest.skip("somebody's Ray runs on this machine and would be joined")
    with pytest.raises(ConfigError, match="expected a Ray cluster at auto, got ConnectionError"):
        Cluster(Resources(1, address="auto"))


def test_more_than_this_machine_has_is_refused_before_ray_starts() -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"expected resources for 1 trials at a time with 4096 CPUs"):
        Cluster(Resources(1, cpus_per_trial=4096))
    assert time.monotonic() - started < 1
