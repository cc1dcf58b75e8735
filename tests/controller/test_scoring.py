"""Zero-cost scores in a search: asked for, kept, and never more than a tenth of the training."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.controller.controller import Controller
from nas.controller.history import History, Objective, Score
from nas.controller.job import Done, Job, ScoreJob, Wait
from nas.controller.ledger import Ledger
from nas.errors import PluginError
from nas.space.architecture import Architecture
from nas.space.space import Space

Make = Callable[..., Controller]


class Curious:
    """Wants the scores of everything before it takes anything."""

    def __init__(self) -> None:
        self.allowed: list[int | None] = []

    def propose(self, history: History, rng: random.Random) -> Architecture | Score:
        self.allowed.append(history.scorable)
        unknown = [a for a in history.space.enumerate() if a.digest not in history.scores]
        wanted = list({a.digest: a for a in unknown}.values())[: history.scorable]
        return Score(tuple(wanted)) if history.proxies and wanted else history.space.sample(rng)


def train(controller: Controller, job: Job, seconds: float = 10.0) -> None:
    controller.report(job.number, {"epoch": 1, "score": 0.5, "seconds": seconds})
    controller.finish(job.number, "complete")


def run(controller: Controller, each: float) -> int:
    """Trains and scores to the end; how many architectures were scored, each in so many seconds."""
    scored = 0
    while not isinstance(answer := controller.next(), Done):
        if isinstance(answer, Job):
            train(controller, answer)
        elif isinstance(answer, ScoreJob):
            scored += len(answer.architectures)
            found = [{"scores": {"p": 1.0, "q": math.nan}, "seconds": {"p": each}} for _ in answer.architectures]
            controller.scored(answer.number, found)
    return scored


@pytest.mark.parametrize(("each", "scored"), [(1.0, 10), (5.0, 2), (0.001, 70), (30.0, 1)])
def test_scores_take_a_tenth_of_the_training(controller: Make, each: float, scored: int) -> None:
    """Ten trials of ten seconds: ten seconds for scores, but for the one that shows what a score takes."""
    assert run(controller(strategy=("curious", Curious()), proxies=["p", "q"], budget=10), each) == scored


def test_nothing_is_scored_before_a_trial_is_complete_then_one_to_see_what_it_takes(controller: Make) -> None:
    curious = Curious()
    search = controller(strategy=("curious", curious), proxies=["p"], budget=10)
    first = search.next()
    assert isinstance(first, Job)
    train(search, first)
    second = search.next()
    assert isinstance(second, ScoreJob)
    assert len(second.architectures) == 1
    search.scored(second.number, [{"scores": {"p": 1.0}, "seconds": {"p": 2.0}}])
    third = search.next()
    assert isinstance(third, ScoreJob)
    assert len(third.architectures) == 4
    assert curious.allowed == [0, 1, 4]


def test_workers_wait_for_what_others_score(controller: Make) -> None:
    search = controller(strategy=("curious", Curious()), proxies=["p"], budget=10)
    first = search.next()
    assert isinstance(first, Job)
    train(search, first)
    job = search.next()
    assert isinstance(job, ScoreJob)
    assert search.next() == Wait(idle=True)
    search.scored(job.number)
    assert isinstance(search.next(), Job), "a worker that died is waited for no longer"


def test_scores_are_there_after_a_restart(controller: Make, ledger: Ledger, space: Space, tmp_path: Path) -> None:
    run(controller(strategy=("curious", Curious()), proxies=["p"], budget=3), 0.5)
    kept, seconds = dict(ledger.scores), ledger.score_seconds
    assert set(map(tuple, (found.items() for found in kept.values()))) == {(("p", 1.0),)}
    ledger.close()
    with Ledger.open(tmp_path / "run", space, [Objective("score", "score", "maximize")]) as again:
        assert again.scores == kept
        assert again.score_seconds == pytest.approx(seconds)
        assert again.history().scores == kept


def test_without_proxies_a_wish_is_an_error(controller: Make) -> None:
    class Wishful:
        def propose(self, history: History, rng: random.Random) -> Score:
            return Score((history.space.reference,))

    with pytest.raises(PluginError, match="'wishful' asks for zero-cost scores, but there are none to be had now"):
        controller(strategy=("wishful", Wishful())).next()


def test_time_bounds_scores_where_no_trials_do(controller: Make) -> None:
    """One trial of ten seconds, and about as much time gone as is left: two seconds for scores, at half a second."""
    curious = Curious()
    search = controller(strategy=("curious", curious), proxies=["p"])
    first = search.next()
    assert isinstance(first, Job)
    train(search, first)
    search.ledger.record_scores("some", {"p": 1.0}, 0.5)
    search._scoring._begun = time.monotonic() - 100
    search.deadline = time.monotonic() + 110
    assert search.history.scorable == 3
