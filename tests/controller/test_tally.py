from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pluggy
import pytest

from nas.controller.checkpoints import KEPT, Checkpoints, best_trials, checkpoint_file
from nas.controller.controller import Controller
from nas.controller.front import front, hypervolume_of, reference_values
from nas.controller.history import History, Objective, Trial
from nas.controller.job import Job
from nas.controller.ledger import Ledger
from nas.controller.tally import MOST_GROUPS, OTHERS, Reasons, Tally
from nas.plugin import hooks
from nas.space.space import Space

SCORE, SIZE = Objective("score", "score", "maximize"), Objective("size", "size", "minimize")


def ended(space: Space, number: int, rng: random.Random) -> Trial:
    """A trial that ended somehow; values repeat, and some are not finite."""
    state = rng.choice(["complete", "complete", "complete", "stopped", "failed", "refused"])
    values = (float(rng.randrange(6)), float(rng.randrange(6))) if state in ("complete", "stopped") else None
    if values and rng.random() < 0.1:
        values = (math.nan, 1.0)
    made = space.sample(rng)
    reason = f"layer {number}: wrong" if state in ("failed", "refused") else ""
    trial = Trial(number, "running", made, made.digest)
    return replace(trial, state=state, values=values, seconds=2.0, reason=reason, cached=rng.random() < 0.2)


@pytest.mark.parametrize("objectives", [(SCORE,), (SCORE, SIZE)], ids=["one", "two"])
def test_it_says_what_counting_all_trials_says(space: Space, objectives: tuple[Objective, ...]) -> None:
    rng = random.Random(0)
    for _ in range(30):
        trials = [ended(space, number, rng) for number in range(rng.randrange(1, 40))]
        trials = [replace(t, values=t.values and t.values[: len(objectives)]) for t in trials]
        tally = Tally(objectives)
        running = [replace(trial, state="running", values=None) for trial in trials]
        for trial in running:
            tally.see(trial)
        order = rng.sample(range(len(trials)), len(trials))
        for number in order:
            tally.see(trials[number])
            running[number] = trials[number]
            history = History(space, objectives, running)
            assert tally.best == history.best
            assert list(tally.running) == [t.number for t in running if not t.finished]
            if tally.front is not None:
                assert tally.front.numbers == [t.number for t in front(history)]
                assert tally.front.reference == reference_values(history)
                assert tally.front.hypervolume == pytest.approx(hypervolume_of(history))
        trained = [t for t in trials if t.state == "complete" and not t.cached]
        assert (tally.trained, tally.trained_seconds) == (len(trained), 2.0 * len(trained))
        assert tally.accepted == sum(t.state != "refused" for t in trials)
        assert tally.known == sum(t.cached for t in trials)
        for values in [(float(a), float(b))[: len(objectives)] for a in range(7) for b in range(7)]:
            least = [[o.sign * v for o, v in zip(objectives, t.values or (), strict=True)] for t in history.complete]
            mine = [o.sign * v for o, v in zip(objectives, values, strict=True)]
            assert tally.beaten(values) == any(all(a >= b for a, b in zip(row, mine, strict=True)) for row in least)


def test_a_trial_that_is_seen_twice_counts_once(space: Space) -> None:
    trial = ended(space, 0, random.Random(1))
    tally = Tally([SCORE, SIZE], [trial, trial])
    assert tally.states.total() == 1


def test_reasons_that_differ_in_numbers_are_one() -> None:
    reasons = Reasons()
    for text in ("flops 3.2e6 > 10", "flops 41 > 10\nmore", "out of memory"):
        reasons.add(text)
    assert reasons.most() == [(2, "flops 41 > 10"), (1, "out of memory")]
    assert reasons.most(1) == [(2, "flops 41 > 10")]


def test_reasons_do_not_pile_up() -> None:
    reasons = Reasons()
    for number in range(3 * MOST_GROUPS):
        reasons.add("x" * (number + 1))
    assert len(reasons.most()) == MOST_GROUPS + 1
    assert reasons.most(1) == [(2 * MOST_GROUPS, OTHERS)]


@pytest.mark.parametrize("objectives", [(SCORE,), (SCORE, SIZE)], ids=["one", "two"])
def test_checkpoints_that_are_kept_are_those_of_the_best(
    space: Space, tmp_path: Path, objectives: tuple[Objective, ...]
) -> None:
    rng = random.Random(2)
    trials = [ended(space, number, rng) for number in range(30)]
    trials = [replace(t, values=t.values and t.values[: len(objectives)]) for t in trials]
    for trial in trials:
        file = checkpoint_file(tmp_path, trial.number)
        if trial.state != "refused":
            file.parent.mkdir(parents=True)  # type: ignore[union-attr]
    running = [replace(trial, state="running", values=None) for trial in trials]
    checkpoints = Checkpoints(tmp_path)
    for trial in trials[:20]:  # as a search that is resumed finds them
        running[trial.number] = trial
    for number in [19, *rng.sample(range(20, 30), 10)]:
        running[number] = trials[number]
        history = History(space, objectives, running)
        checkpoints.see(running[number], history)
        checkpoints.drop()
        left = {int(folder.name) for folder in (tmp_path / "checkpoints").iterdir()}
        flying = {t.number for t in running if not t.finished and trials[t.number].state != "refused"}
        assert left == {t.number for t in best_trials(history)} | flying
    if len(objectives) == 1:
        assert len(left) == KEPT
    else:
        assert {trial.number for trial in front(history)} < left


class Watched(list[Trial]):
    """Trials that count how often somebody goes through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[Trial]:
        self.walks += 1
        return super().__iter__()


def test_no_event_goes_through_all_trials(tmp_path: Path, space: Space, controller: Callable[..., Controller]) -> None:
    seen: list[int] = []

    class Observer:
        @hooks.hookimpl
        def nas_trial_finished(self, trial: Trial, history: History) -> None:
            seen.append(history.trials[trial.number].number)

    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(Observer())
    checkpoints = Checkpoints(tmp_path)
    with Ledger.create(tmp_path / "two", space, [SCORE, SIZE]) as ledger:
        search = controller(
            ledger=ledger, observers=manager.hook, watcher=lambda trial, history: checkpoints.see(trial, history)
        )
        ledger.trials = watched = Watched()
        for number in range(20):
            job = search.next()
            assert isinstance(job, Job)
            before = watched.walks
            search.report(job.number, {"epoch": 1, "score": 0.1 * number, "size": number})
            search.finish(job.number, "complete")
            if number:  # the first event is told of what was there before
                assert watched.walks == before
    assert seen == list(range(20))
