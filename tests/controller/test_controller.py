from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import pluggy
import pytest

from nas.controller.controller import Controller
from nas.controller.history import History, Limit, Objective, Trial
from nas.controller.job import Done, Job, Wait
from nas.controller.ledger import Ledger
from nas.errors import CandidateError, PluginError, SpaceError
from nas.plugin import hooks
from nas.space.architecture import Architecture
from nas.space.space import Space

Make = Callable[..., Controller]
SCORE = Objective("score", "score", "maximize")


def drain(controller: Controller, epochs: int = 1, limit: int = 100_000) -> Done:
    """Runs every job at once, until the controller is done."""
    for _ in range(limit):
        answer = controller.next()
        if isinstance(answer, Done):
            return answer
        if isinstance(answer, Job):
            for epoch in range(1, epochs + 1):
                controller.report(answer.number, {"epoch": epoch, "score": answer.number / 100})
            controller.finish(answer.number, "complete")
    raise AssertionError("the search does not end")


class Stubborn:
    """Always proposes the reference."""

    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.reference


class Recorder:
    """Remembers what it saw."""

    def __init__(self) -> None:
        self.draws: list[tuple[int, float]] = []

    def propose(self, history: History, rng: random.Random) -> Architecture:
        self.draws.append((len(history.trials), rng.random()))
        return history.space.sample(rng)


def test_the_budget_is_kept(controller: Make) -> None:
    search = controller(budget=7)
    assert drain(search) == Done("the budget of 7 trials is spent", "budget")
    trials = search.history.trials
    assert [trial.number for trial in trials] == list(range(7))
    assert {trial.state for trial in trials} == {"complete"}
    assert trials[3].values == (0.03,)
    assert trials[3].metrics == {"params": 10.0, "epoch": 1, "score": 0.03}
    assert search.history.best == trials[6]


def test_what_was_thought_of_ahead_is_what_comes(tmp_path: Path, space: Space, controller: Make) -> None:
    recorder = Recorder()
    search = controller(strategy=("recorder", recorder), budget=3)
    search.prepare()
    assert recorder.draws
    assert not search.history.trials  # nothing runs yet
    asked = len(recorder.draws)
    first = search.next()
    assert isinstance(first, Job)
    assert len(recorder.draws) == asked
    with Ledger.create(tmp_path / "other", space, [SCORE]) as ledger:
        alike = controller(ledger=ledger, strategy=("recorder", Recorder()), budget=3).next()
    assert isinstance(alike, Job)
    assert first.architecture.digest == alike.architecture.digest
    assert drain(search).cause == "budget"
    assert len(search.history.trials) == 3


def test_strategies_look_quickly_while_there_are_no_limits(controller: Make) -> None:
    asked: list[str] = []

    class Asking:
        def propose(self, history: History, rng: random.Random) -> Architecture:
            made = history.space.sample(rng)
            history.measure(made)
            return made

    def check(made: Architecture) -> dict[str, float]:
        asked.append("whole")
        return {"params": 10.0, "memory_mb": 1.0}

    def quick(made: Architecture) -> dict[str, float]:
        asked.append("quick")
        return {"params": 10.0}

    search = controller(strategy=("asking", Asking()), check=check, quick=quick, budget=2)
    search.next()
    assert asked == ["quick", "whole"]
    asked.clear()
    search.restrict(Limit("memory_mb", 0.5))
    search.next()
    search.next()
    assert asked[:2] == ["quick", "whole"]  # refused: from now on strategies hear of the limit
    assert set(asked[2:]) == {"whole"}


def test_no_network_is_tried_twice_and_none_is_left_out(controller: Make, space: Space) -> None:
    search = controller()
    assert drain(search) == Done("every architecture of the space has been tried", "space")
    tried = [trial.digest for trial in search.history.trials]
    assert len(set(tried)) == len(tried)
    assert set(tried) == {architecture.digest for architecture in space.enumerate()}


def test_a_strategy_that_repeats_itself_gets_samples_and_then_the_rest(controller: Make, space: Space) -> None:
    search = controller(strategy=("stubborn", Stubborn()))
    assert drain(search).cause == "space"
    trials = search.history.trials
    assert [trial.source for trial in trials[:3]] == ["stubborn", "sample", "sample"]
    assert {t.digest for t in trials} == {a.digest for a in space.enumerate()}


def test_a_large_space_ends_when_samples_find_nothing_new(
    controller: Make, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.controller.propose.ENUMERABLE", 10)
    search = controller(strategy=("stubborn", Stubborn()))
    assert drain(search).reason == "200 samples of the space held nothing that was not tried"
    assert len(search.history.trials) > 40


def test_an_enumeration_lets_others_work(controller: Make, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.controller.propose.SLICE", 5)
    monkeypatch.setattr("nas.controller.propose.SAMPLE_TRIES", 2)
    search = controller(strategy=("stubborn", Stubborn()))
    answers = []
    while not isinstance(answer := search.next(), Done):
        answers.append(answer)
    assert any(isinstance(answer, Wait) for answer in answers)
    assert sum(isinstance(answer, Job) for answer in answers) == 70 < space.size


def test_the_reference_comes_first_and_once(controller: Make, ledger: Ledger, space: Space) -> None:
    drain(controller(budget=2, reference=space.reference))
    drain(controller(budget=4, reference=space.reference))
    assert [trial.source for trial in ledger.trials] == ["reference", "sampler", "sampler", "sampler"]
    assert ledger.trials[0].architecture == space.reference


def test_the_rng_comes_from_seed_and_number_only(tmp_path: Path, space: Space) -> None:
    def draws(seed: int, stop: int) -> list[tuple[int, float]]:
        recorder = Recorder()
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        with Ledger.create(folder, space, [SCORE]) as ledger:
            for budget in (stop, 6):
                strategy = ("recorder", recorder)
                drain(Controller(ledger=ledger, strategy=strategy, check=lambda _: {}, budget=budget, seed=seed))
        return list(dict(recorder.draws).items())

    assert draws(3, stop=6) == draws(3, stop=2)
    assert draws(3, stop=6) != draws(4, stop=6)
    assert dict(draws(3, stop=6))[5] == random.Random("3:5").random()


def test_a_refused_candidate_costs_no_budget_and_is_known(controller: Make, space: Space) -> None:
    def check(architecture: Architecture) -> dict[str, float]:
        if architecture.decisions["first"] == "deep":
            raise CandidateError("first/a: too deep")
        return {}

    search = controller(check=check, budget=3)
    assert drain(search).cause == "budget"
    trials = search.history.trials
    refused = [trial for trial in trials if trial.state == "refused"]
    assert len(trials) == len(refused) + 3
    assert refused
    assert {trial.reason for trial in refused} == {"first/a: too deep"}
    assert len({trial.digest for trial in trials}) == len(trials)


def test_a_space_that_never_fits_is_said(controller: Make) -> None:
    def check(architecture: Architecture) -> dict[str, float]:
        raise CandidateError("expected an image, got a vector" if architecture.decisions["last"] else "zero")

    with pytest.raises(SpaceError) as caught:
        drain(controller(check=check, budget=3))
    assert str(caught.value).startswith(
        "space 'tiny' does not fit the task: all of the last 70 candidates were refused"
    )
    assert "of them because expected an image, got a vector" in str(caught.value)


def test_a_large_space_that_never_fits_is_given_up(
    controller: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.controller.controller.FIRST_REFUSALS", 15)

    def check(architecture: Architecture) -> dict[str, float]:
        raise CandidateError("too large")

    with pytest.raises(SpaceError, match="all of the last 15 candidates were refused, 15 of them because too large"):
        drain(controller(check=check))
    assert [trial.state for trial in ledger.trials] == ["refused"] * 15
    with pytest.raises(SpaceError, match="all of the last 16"):
        drain(controller(check=check))


def test_endless_refusals_end_a_search_that_has_results(
    controller: Make, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.controller.controller.REFUSALS", 20)

    def check(architecture: Architecture) -> dict[str, float]:
        if architecture != space.reference:
            raise CandidateError("not the reference")
        return {}

    done = drain(controller(check=check, reference=space.reference))
    assert done.cause == "refused"
    assert done.reason == "all of the last 20 candidates were refused, 20 of them because not the reference"


def test_an_error_of_the_check_is_not_hidden(controller: Make) -> None:
    def check(architecture: Architecture) -> dict[str, float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        controller(check=check).next()


def test_a_strategy_that_fails_is_named(controller: Make) -> None:
    class Broken:
        def propose(self, history: History, rng: random.Random) -> Architecture:
            raise KeyError("front")

    class Wrong:
        def propose(self, history: History, rng: random.Random) -> str:
            return "net"

    with pytest.raises(PluginError, match=r"strategy 'broken' failed to propose trial 0: KeyError\('front'\)"):
        controller(strategy=("broken", Broken())).next()
    with pytest.raises(PluginError, match="strategy 'wrong': expected an Architecture, got str"):
        controller(strategy=("wrong", Wrong())).next()


def test_the_deadline_ends_the_search(controller: Make) -> None:
    search = controller(deadline=time.monotonic() + 60)
    assert isinstance(search.next(), Job)
    search.deadline = time.monotonic() - 0.1
    assert search.next() == Done("the time is up", "time")
    assert search.history.trials[0].state == "running"


def test_trials_in_flight_are_continued_first(controller: Make, ledger: Ledger) -> None:
    dead = controller(budget=5)
    jobs = [dead.next() for _ in range(3)]
    dead.report(1, {"epoch": 1, "score": 0.1})
    dead.finish(0, "failed", "ValueError")
    search = controller(budget=5)
    first, second, third = search.next(), search.next(), search.next()
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    assert isinstance(third, Job)
    assert [(job.number, job.resume) for job in (first, second, third)] == [(1, True), (2, True), (3, False)]
    assert first.architecture == jobs[1].architecture  # type: ignore[union-attr]
    search.report(1, {"epoch": 2, "score": 0.2})
    assert [m["score"] for m in search.finish(1, "complete").curve] == [0.1, 0.2]
    assert isinstance(search.next(), Job)
    assert isinstance(search.next(), Done)
    assert len(ledger.trials) == 5


def test_a_job_is_plain_data(controller: Make) -> None:
    job = controller(seed=11).next()
    assert isinstance(job, Job)
    said = job.to_dict()
    assert {key: said[key] for key in ("number", "seed", "resume")} == {"number": 0, "seed": 11, "resume": False}
    assert Architecture.from_dict(said["architecture"]) == job.architecture


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"epoch": 1, "score": float("nan")}, "objective 'score': expected a finite score, got nan"),
        ({"epoch": 1, "loss": 1.0}, "objective 'score': expected metric 'score', got params, epoch, loss"),
        (None, "objective 'score': expected metric 'score', got params"),
    ],
)
def test_a_trial_without_a_value_has_failed(controller: Make, metrics: dict[str, float] | None, reason: str) -> None:
    search = controller()
    search.next()
    if metrics:
        search.report(0, metrics)
    trial = search.finish(0, "complete")
    assert (trial.state, trial.values, trial.reason) == ("failed", None, reason)


def test_a_stopped_trial_has_the_value_it_had(controller: Make) -> None:
    search = controller()
    search.next()
    search.report(0, {"epoch": 1, "score": 0.4})
    trial = search.finish(0, "stopped", "stopped by the scheduler")
    assert (trial.state, trial.values, trial.reason) == ("stopped", (0.4,), "stopped by the scheduler")
    assert search.history.complete == []


class Observer:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @hooks.hookimpl
    def nas_search_started(self, history: History, run: str) -> None:
        self.seen.append(("started", len(history.trials), Path(run).name))

    @hooks.hookimpl
    def nas_trial_finished(self, trial: Trial) -> None:
        self.seen.append((trial.number, trial.state))

    @hooks.hookimpl
    def nas_search_finished(self, history: History) -> None:
        self.seen.append(("finished", len(history.trials)))


class Broken:
    @hooks.hookimpl
    def nas_trial_finished(self, trial: Trial, history: History) -> None:
        raise RuntimeError("disk on fire")


def test_observers_are_told_and_one_that_fails_harms_nobody(controller: Make, caplog: pytest.LogCaptureFixture) -> None:
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    observer = Observer()
    manager.register(observer, "watch")
    manager.register(Broken(), "burner")

    def check(architecture: Architecture) -> dict[str, float]:
        if architecture.decisions["first"] == "none":
            raise CandidateError("nothing in it")
        return {}

    search = controller(check=check, budget=4, observers=manager.hook)
    search.begin()
    drain(search)
    search.end()
    trials = search.history.trials
    told = [(trial.number, trial.state) for trial in trials]
    assert observer.seen == [("started", 0, "run"), *told, ("finished", len(trials))]
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(trials)
    assert "nas_trial_finished of plugin 'burner' failed; the search goes on" in warnings[0].getMessage()


def test_what_is_shown_is_in_the_ledger_already(controller: Make, ledger: Ledger, space: Space) -> None:
    seen: list[tuple[int, str, int]] = []

    def watch(trial: Trial, history: History) -> None:
        assert Ledger.read(ledger.folder, space).trials[trial.number] == trial == history.trials[trial.number]
        seen.append((trial.number, trial.state, len(trial.curve)))

    drain(controller(budget=2, watcher=watch), epochs=2)
    assert seen == [
        (n, *step) for n in (0, 1) for step in (("running", 0), ("running", 1), ("running", 2), ("complete", 2))
    ]


def test_a_display_that_fails_harms_nobody(controller: Make, caplog: pytest.LogCaptureFixture) -> None:
    def watch(trial: Trial, history: History) -> None:
        raise OSError("no terminal")

    search = controller(budget=1, watcher=watch)
    assert drain(search).cause == "budget"
    assert "the display failed at trial 0" in caplog.text
