"""A search on Ray whose trials have two processes each, some of which are killed."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

import nas
from nas.controller.history import History, Trial
from nas.errors import ConfigError

PEER = "nas.train.peer"


def peers() -> list[psutil.Process]:
    """What the workers of this process have started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            found += [child] if PEER in child.cmdline() else []
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


@pytest.mark.slow
def test_whichever_process_of_a_trial_is_killed_it_goes_on_and_nobody_stays(tmp_path: Path) -> None:
    killed: dict[int, psutil.Process] = {}
    started: list[psutil.Process] = []

    def watch(trial: Trial, history: History) -> None:
        if len(trial.curve) == 2 and trial.number < 2 and trial.number not in killed:
            [peer] = peers()
            started.append(peer)
            killed[trial.number] = peer if trial.number == 0 else peer.parent()
            killed[trial.number].kill()

    run = nas.search(
        "cell_cnn:channels=4", strategy="random", trials=2, epochs=4, proxies=(), cache=False, processes_per_trial=2,
        concurrency=1, out=tmp_path / "run", watcher=watch,
    )  # fmt: skip
    assert set(killed) == {0, 1}
    assert [trial.state for trial in run.trials] == ["complete"] * 2
    assert all([epoch["epoch"] for epoch in trial.curve] == [1, 2, 3, 4] for trial in run.trials)
    until = time.monotonic() + 20
    while any(peer.is_running() for peer in started) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(peer.is_running() for peer in started)
    assert not peers()


def test_more_processes_than_cores_are_refused(tmp_path: Path) -> None:
    many = psutil.cpu_count() + 1
    with pytest.raises(ConfigError, match=rf"expected resources for 1 trials at a time with {many} CPUs"):
        nas.search(processes_per_trial=many, recipe={"batch_size": 2 * many}, concurrency=1, out=tmp_path / "run")
