"""Searches on small tables: the clock, the history that strategies see, and the numbers that come of it, by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from nas.controller.history import History, Limit, Objective, Score
from nas.controller.propose import Proposal
from nas.controller.simulate import (
    Simulation,
    after_trainings,
    hypervolumes,
    incumbents,
    interval,
    play,
    regrets,
    seconds_of,
    simulate,
    trainings_to_optimum,
)
from nas.controller.table import Row, Rows
from nas.errors import ConfigError, PluginError
from nas.space.architecture import Architecture
from nas.space.graph import chain, choice
from nas.space.space import Space
from nas.testing import toys

WIDTHS = (1, 2, 3, 4, 5, 6)
SPACE = Space(chain(conv=toys.CONV(width=choice("width", *WIDTHS)), head=toys.HEAD()), inputs=["image"], name="widths")
UP = Objective("val", "val", "maximize")
JUDGE = Objective("test", "test", "maximize")


def made(width: int) -> Architecture:
    return SPACE.architecture({"width": width})


def width_of(architecture: Architecture) -> int:
    width = architecture.decisions["width"]
    assert isinstance(width, int)
    return width


def table(
    val: Sequence[float], test: Sequence[float] = (), seconds: Sequence[float] = (), without: Sequence[int] = ()
) -> Rows:
    """One row a width; scores take half a second each."""
    test, seconds = test or val, seconds or [1.0] * len(WIDTHS)
    rows = {
        made(width).digest: Row(
            curve=({"val": val[i] / 2}, {"val": val[i]}),
            seconds=seconds[i],
            judged={"test": test[i]},
            costs={"params": float(width)},
            scores={"luck": -float(width), "more": 0.0},
            score_seconds={"luck": 0.5, "more": 100.0},
        )
        for i, width in enumerate(WIDTHS)
        if width not in without
    }
    return Rows(SPACE, (UP,), rows, JUDGE)


@dataclass
class Told:
    """Proposes these widths one after the other, and keeps what it saw."""

    widths: Sequence[int]
    seen: list[History] = field(default_factory=list)

    def propose(self, history: History) -> Proposal:
        self.seen.append(history)
        return Proposal(made(self.widths[len(history.trials)]), "told")


class Sampling:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(rng)


RISING = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def states(history: History) -> list[str]:
    return [trial.state for trial in history.trials]


def test_two_workers_take_the_next_as_soon_as_one_is_free() -> None:
    """Seconds 5, 2, 4, 1: B ends at 2 and C begins, A ends at 5 and D begins, C and D both end at 6."""
    told = Told([1, 2, 3, 4])
    found = play(table(RISING, seconds=[5, 2, 4, 1, 1, 1]), told, trials=4, workers=2)
    assert found.ends == (5, 2, 6, 6)
    assert found.seconds == 6
    assert [trial.number for trial in found.trained] == [1, 0, 2, 3]
    assert [states(history) for history in told.seen] == [
        [],
        ["running"],
        ["running", "complete"],
        ["complete", "complete", "running"],
    ]


def test_one_worker_waits_for_each() -> None:
    told = Told([1, 2, 3])
    found = play(table(RISING, seconds=[5, 2, 4, 1, 1, 1]), told, trials=3)
    assert found.ends == (5, 7, 11)
    assert states(told.seen[2]) == ["complete", "complete"]


def test_workers_that_end_together_are_both_known_before_the_next_is_asked_for() -> None:
    told = Told([1, 2, 3])
    play(table(RISING), told, trials=3, workers=2)
    assert states(told.seen[2]) == ["complete", "complete"]


def test_what_runs_shows_its_costs_and_no_values() -> None:
    told = Told([3, 4])
    found = play(table(RISING), told, trials=2, workers=2)
    (running,) = told.seen[1].trials
    assert (running.state, running.values, running.curve) == ("running", None, ())
    assert dict(running.metrics) == {"params": 3.0}
    assert found.trials[0].values == (0.3,)
    assert found.trials[0].curve == ({"val": 0.15}, {"val": 0.3})
    assert dict(found.trials[0].metrics) == {"params": 3.0, "val": 0.3}
    assert "test" not in found.trials[0].metrics


def test_the_history_has_the_budget_and_measures_by_the_table() -> None:
    told = Told([1])
    limits = (Limit("params", 3),)
    play(table(RISING, without=[6]), told, trials=1, limits=limits)
    (history,) = told.seen
    assert history.budget == 1
    assert history.limits == limits
    assert history.measure(made(2)) == {"params": 2.0}
    assert [history.allowed(made(width)) for width in WIDTHS] == [True, True, True, False, False, False]


def test_a_candidate_over_a_limit_or_without_a_row_is_refused_and_costs_nothing() -> None:
    told = Told([6, 5, 1, 2])
    found = play(table(RISING, without=[6]), told, trials=2, limits=[Limit("params", 4)])
    assert [trial.state for trial in found.trials] == ["refused", "refused", "complete", "complete"]
    assert found.trials[0].reason == "the table has no row for it"
    assert found.trials[1].reason == "params<=4 is not met: params is 5.0"
    assert found.ends == (0, 0, 1, 2)
    assert len(found.trained) == 2


def test_a_simulation_of_refusals_alone_ends_and_says_why() -> None:
    limit = [Limit("params", 0)]
    found = play(table(RISING), Told([3] * 2000), trials=5, limits=limit)
    assert len(found.trials) == 1000
    assert found.reason.startswith("all of the last 1000 candidates were refused, the last because params<=0")


def test_a_value_that_is_not_finite_is_a_failed_training() -> None:
    found = play(table([math.nan, 0.2, math.inf, 0, 0, 0]), Told([1, 2, 3]), trials=3)
    assert [trial.state for trial in found.trials] == ["failed", "complete", "failed"]
    assert found.seconds == 3
    assert all(math.isnan(value) for value in incumbents(found)[:1])
    assert incumbents(found)[1:] == [0.2, 0.2]


def test_an_exhausted_space_ends_it() -> None:
    found = simulate(table(RISING), ("sampling", Sampling()), trials=50, seed=0)
    assert sorted(width_of(trial.architecture) for trial in found.trials) == list(WIDTHS)
    assert found.reason == "every architecture of the space has been tried"


def test_the_same_seed_gives_the_same_search_and_another_another() -> None:
    def order(seed: int) -> list[str]:
        found = simulate(table(RISING), ("sampling", Sampling()), trials=4, seed=seed)
        return [trial.digest for trial in found.trials]

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


class Ranking:
    """Proposes the luckiest that is not tried, after a look at all."""

    def propose(self, history: History, rng: random.Random) -> Architecture | Score:
        everyone = tuple(history.space.enumerate())
        if any(one.digest not in history.scores for one in everyone):
            return Score((*everyone, *everyone))
        tried = {trial.digest for trial in history.trials}
        left = [one for one in everyone if one.digest not in tried]
        return max(left or everyone, key=lambda one: history.scores[one.digest].get("luck", -math.inf))


@pytest.mark.parametrize(("workers", "paid"), [(1, 3.0), (2, 1.5)])
def test_scores_come_from_the_rows_and_cost_the_free_workers_their_seconds_once(workers: int, paid: float) -> None:
    found = simulate(table(RISING), ("rank", Ranking()), trials=2, seed=0, workers=workers, proxies=["luck"])
    assert [width_of(trial.architecture) for trial in found.trials] == [1, 2]
    assert (found.scored, found.score_seconds) == (6, 3.0)
    assert found.ends == ((paid + 1, paid + 2) if workers == 1 else (paid + 1, paid + 1))


def test_without_proxies_nobody_may_ask_for_scores() -> None:
    with pytest.raises(PluginError, match="asks for zero-cost scores, but there are none to be had now"):
        simulate(table(RISING), ("rank", Ranking()), trials=2, seed=0)


def test_an_architecture_without_a_row_has_no_scores() -> None:
    found = simulate(table(RISING, without=[1]), ("rank", Ranking()), trials=1, seed=0, proxies=["luck"])
    assert width_of(found.trials[0].architecture) == 2
    assert found.score_seconds == 2.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "expected trials to be at least 1, got 0"),
        ({"trials": 1, "workers": 0}, "expected workers to be at least 1, got 0"),
        ({"trials": 1, "proxies": ["lack"]}, "the table has no zero-cost score 'lack'; it has luck, more"),
    ],
)
def test_bad_numbers_are_told(options: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        simulate(table(RISING), ("sampling", Sampling()), seed=0, **options)  # type: ignore[arg-type]


def test_regret_is_that_of_the_best_by_its_signal_not_by_its_judge() -> None:
    val, test = [0.1, 0.4, 0.2, 0.5, 0.3, 0.6], [0.9, 0.5, 0.95, 0.7, 1.0, 1.0]
    found = play(table(val, test), Told([1, 2, 3, 4, 6]), trials=5)
    assert incumbents(found) == [0.9, 0.5, 0.5, 0.7, 1.0]
    assert regrets(found) == pytest.approx([0.1, 0.5, 0.5, 0.3, 0.0])
    assert trainings_to_optimum(found) == 5
    assert trainings_to_optimum(play(table(val, test), Told([1, 2]), trials=2)) is None


def test_of_two_equal_signals_the_first_is_taken() -> None:
    found = play(table([0.5] * 6, [0.1, 0.9, 0.2, 0.3, 0.4, 0.5]), Told([1, 2]), trials=2)
    assert incumbents(found) == [0.1, 0.1]


def test_less_is_better_where_the_objective_says_so() -> None:
    losses = table([3.0, 1.0, 2.0, 5.0, 4.0, 6.0], [3.5, 1.5, 1.25, 5, 4, 6])
    losses = replace(
        losses, objectives=(replace(UP, direction="minimize"),), judge=replace(JUDGE, direction="minimize")
    )
    found = play(losses, Told([1, 3, 2]), trials=3)
    assert losses.best == 1.25
    assert incumbents(found) == [3.5, 1.25, 1.5]
    assert regrets(found) == [2.25, 0.0, 0.25]
    assert trainings_to_optimum(found) == 2


def two(values: Mapping[int, tuple[float, float]]) -> Rows:
    """Accuracy to be large, latency to be small."""
    rows = {made(width).digest: Row(({"acc": acc, "lat": lat},), 1.0) for width, (acc, lat) in values.items()}
    return Rows(SPACE, (Objective("acc", "acc", "maximize"), Objective("lat", "lat", "minimize")), rows)


def test_hypervolume_over_time_by_hand() -> None:
    both = two({1: (1, 1), 2: (3, 4), 3: (2, 2), 4: (0, 5), 5: (2, 4)})
    assert both.judge is None
    assert both.reference == (0, 5)
    assert both.best == 8  # (1, 1): 1 x 4; (2, 2): 1 x 3 more; (3, 4): 1 x 1 more
    found = play(both, Told([5, 1, 4, 3, 2]), trials=5)
    assert hypervolumes(found) == [2, 5, 5, 7, 8]
    assert regrets(found) == pytest.approx([0.75, 0.375, 0.375, 0.125, 0])
    with pytest.raises(ConfigError, match="several objectives"):
        incumbents(found)


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 1.9632432),  # 2.776445 * sqrt(2.5 / 5)
        ([2.0, 4.0], 3.0, 12.7062047),  # 12.706205 * sqrt(2 / 2)
        ([0.5] * 7, 0.5, 0.0),
        ([3.0], 3.0, math.inf),
    ],
)
def test_the_interval_is_student_s(values: list[float], mean: float, half: float) -> None:
    assert interval(values) == pytest.approx((mean, half))


def test_more_workers_know_less_when_they_choose() -> None:
    """With as many workers as trials every proposal is made blind, in the time of the longest."""
    told = Told([1, 2, 3, 4])
    found = play(table(RISING, seconds=[5, 2, 4, 1, 1, 1]), told, trials=4, workers=4)
    assert found.seconds == 5
    assert all(set(states(history)) <= {"running"} for history in told.seen)


def test_a_simulation_counts_every_proposal() -> None:
    found: Simulation = play(table(RISING), Told([1, 2, 3]), trials=3)
    assert len(found.propose_seconds) == 3
    assert all(seconds >= 0 for seconds in found.propose_seconds)


def test_rows_may_be_known_by_something_else_than_the_digest() -> None:
    rows = Rows(SPACE, (UP,), {width: Row(({"val": float(width)},), 1.0) for width in WIDTHS}, key=width_of)
    assert rows.row(made(4)).curve[-1]["val"] == 4.0
    assert rows.judge == UP
    assert rows.best == 6.0


def curves(values: Sequence[Sequence[float]]) -> Rows:
    """Width w has the w-th curve; its epochs take ten seconds together."""
    rows = {}
    for width, curve in zip(WIDTHS, values, strict=False):
        told = tuple({"epoch": float(n), "val": value} for n, value in enumerate(curve, 1))
        rows[made(width).digest] = Row(told, 10.0, {"test": curve[-1]})
    return Rows(SPACE, (UP,), rows, JUDGE)


FIVE_EPOCHS = curves(
    [[0.5, 0.5, 0.5, 0.5, 0.6], [0.4, 0.4, 0.4, 0.4, 0.9], [0.6, 0.6, 0.6, 0.6, 0.7], [0.55, 0.1, 0.1, 0.1, 0.2]]
)


def test_halving_stops_what_is_not_among_the_best_of_those_that_got_so_far() -> None:
    """It looks at epochs 1, 2 and 3 of 5: the second is among the worse at 1, the fourth not before 2."""
    told = Told([1, 2, 3, 4, 4, 4])
    found = play(FIVE_EPOCHS, told, trials=4, halving=2)
    assert [trial.state for trial in found.trials[:4]] == ["complete", "stopped", "complete", "stopped"]
    assert found.shares[:4] == (1.0, 0.2, 1.0, 0.4)


def test_a_stopped_training_costs_its_share_and_shows_its_last_epoch() -> None:
    found = play(FIVE_EPOCHS, Told([1, 2, 3, 4]), trials=3, halving=2)
    stopped = found.trials[1]
    assert stopped.values == (0.4,)
    assert len(stopped.curve) == 1
    assert stopped.seconds == 2.0
    assert found.ends[:3] == (10.0, 12.0, 22.0)


def test_what_is_stopped_is_never_the_one_that_is_taken() -> None:
    """1, 1.2 and 2.2 trainings are paid for: the second has the stopped trial alone, a part of the third the rest."""
    found = play(FIVE_EPOCHS, Told([1, 2, 3]), trials=3, halving=2)
    assert incumbents(found) == [0.6, 0.6, 0.7]
    assert seconds_of(found) == [10.0, 12.0, 22.0]


def test_the_budget_counts_whole_trainings() -> None:
    whole = curves([[value, value] for value in (0.9, 0.5, 0.4, 0.3, 0.2)])
    found = play(whole, Told([1, 2, 3, 4, 5]), trials=3, halving=2)
    assert [trial.state for trial in found.trials] == ["complete", *["stopped"] * 3]
    assert sum(found.shares) == 2.5, "one more might have cost a whole"


def test_after_trainings_counts_shares() -> None:
    found = replace(play(table(RISING), Told([1, 2, 3, 4]), trials=4), shares=(0.5, 0.75, 0.75, 0.5))
    assert after_trainings(found, [1.0, 2.0, 3.0, 4.0]) == [1.0, 3.0, 4.0]
    assert after_trainings(replace(found, shares=(1.0,) * 4), [1.0, 2.0, 3.0, 4.0]) == [1.0, 2.0, 3.0, 4.0]
