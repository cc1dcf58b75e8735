from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest
from acts import Wisher

from nas.controller.controller import Controller
from nas.controller.job import Done
from nas.controller.ledger import Ledger
from nas.runner.local import run_local
from nas.runner.output import last_lines
from nas.runner.spec import WorkerSpec

Search = Callable[..., tuple[Controller, WorkerSpec]]


def test_every_trial_is_run(search: Search) -> None:
    controller, spec = search("work", sizes=50, budget=5, config={"epochs": 3})
    assert run_local(controller, spec) == Done("the budget of 5 trials is spent", "budget")
    trials = controller.history.trials
    assert [trial.state for trial in trials] == ["complete"] * 5
    assert [len(trial.curve) for trial in trials] == [3] * 5
    assert [trial.metrics["trained"] for trial in trials] == [1, 2, 3, 4, 5]
    assert all(trial.values == (trial.architecture.decisions["size"] + 0.03,) for trial in trials)


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(search: Search) -> None:
    controller, spec = search("raise", "memory", "nan", "unsaid", "silent", "work", config={"epochs": 2})
    assert run_local(controller, spec).cause == "space"
    assert [(trial.state, re.sub(r":\d+\)", ")", trial.reason)) for trial in controller.history.trials] == [
        ("failed", "ValueError: shapes differ (fake_workers.py)"),
        ("failed", "MemoryError: out of memory (fake_workers.py)"),
        ("failed", "objective 'score': expected a finite score, got nan"),
        ("complete", ""),
        ("failed", "objective 'score': expected metric 'score', got params"),
        ("complete", ""),
    ]


def test_what_trials_print_is_seen_and_in_their_logs(search: Search, capfd: pytest.CaptureFixture[str]) -> None:
    controller, spec = search("loud", "raise", config={"epochs": 2})
    with pytest.warns(UserWarning, match="doubtful"):
        run_local(controller, spec)
    assert "epoch 2 is printed" in capfd.readouterr().out
    loud, failed = (last_lines(controller.ledger.folder, number, 100) or [] for number in (0, 1))
    assert "epoch 2 is printed" in loud
    assert failed[-1] == "ValueError: shapes differ"


def test_the_deadline_is_seen_between_epochs(search: Search) -> None:
    controller, spec = search("work", sizes=50, config={"epochs": 1000, "pause": 0.05})
    controller.deadline = time.monotonic() + 0.3
    assert run_local(controller, spec) == Done("the time is up", "time")
    assert controller.seconds_left > -0.3
    [trial] = controller.history.trials
    assert trial.state == "running"
    assert 2 <= len(trial.curve) <= 6


def test_ctrl_c_leaves_the_trial_in_flight(search: Search, tmp_path: Path) -> None:
    controller, spec = search("interrupt", "work", config={"epochs": 3})
    assert run_local(controller, spec).cause == "interrupted"
    controller.ledger.close()
    with Ledger.open(tmp_path / "run0", controller.ledger.space) as ledger:
        assert [(trial.state, len(trial.curve)) for trial in ledger.trials] == [("running", 1)]


def test_ctrl_c_waits_for_the_epoch(search: Search, tmp_path: Path) -> None:
    controller, spec = search("work", sizes=9, config={"epochs": 100, "pause": 0.2})
    Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert run_local(controller, spec).cause == "interrupted"
    [trial] = controller.history.trials
    assert trial.state == "running"
    assert json.loads((tmp_path / "run0" / "checkpoints" / "0.json").read_text()) == len(trial.curve), "none is lost"


def test_a_trial_in_flight_goes_on_from_its_checkpoint(search: Search) -> None:
    controller, spec = search("interrupt", "work", config={"epochs": 3})
    run_local(controller, spec)
    again = Controller(ledger=controller.ledger, strategy=("none", None), check=lambda _: {}, budget=1)  # type: ignore[arg-type]
    assert run_local(again, spec).cause == "budget"
    [trial] = again.history.trials
    assert trial.state == "complete"
    assert [metrics["epoch"] for metrics in trial.curve] == [1, 2, 3]
    assert [metrics["started_at"] for metrics in trial.curve] == [2, 2, 2]


def test_a_worker_that_cannot_be_made_is_an_error(search: Search) -> None:
    controller, spec = search("work", config={"broken": True})
    with pytest.raises(RuntimeError, match="no data here"):
        run_local(controller, spec)
    assert not controller.history.trials


def test_scores_are_computed_between_trials(search: Search) -> None:
    acts = ("work", "unscored raise")
    controller, spec = search(*acts, sizes=20, budget=4, strategy=("wisher", Wisher()), proxies=["size"])
    assert run_local(controller, spec).cause == "budget"
    history = controller.history
    assert {"act": "work", "size": 19} in [dict(trial.architecture.decisions) for trial in history.trials]
    assert list(history.scores.values()).count({}) == 20, "those that cannot be scored are known to have no scores"
