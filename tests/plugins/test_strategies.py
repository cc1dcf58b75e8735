"""Random search and regularized evolution, as the papers have them."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest

from nas.controller.history import History, Objective, State, Strategy, Trial
from nas.errors import ConfigError, UnknownNameError
from nas.plugin.build import build_strategy
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.testing import toys
from nas_plugins.evolution import Evolution, evolution
from nas_plugins.random_search import random_search

SPACE = toys.cell_space()


def history(values: list[float | None], *, budget: int | None = 1000, direction: Any = "maximize") -> History:
    """One trial a value, each of another architecture; None is a failed one."""
    rng = random.Random(1)
    trials = []
    for number, value in enumerate(values):
        made = SPACE.sample(rng)
        state: State = "failed" if value is None else "complete"
        trials.append(Trial(number, state, made, made.digest, values=None if value is None else (value,)))
    return History(SPACE, (Objective("toy", "toy", direction),), trials, budget)


def distance(one: Architecture, other: Architecture) -> int:
    return sum(one.decisions[label] != other.decisions[label] for label in one.decisions)


def parents(strategy: Strategy, past: History, times: int = 200) -> set[int]:
    """The numbers of the trials of which proposals are mutations."""
    found = set()
    for seed in range(times):
        made = strategy.propose(past, random.Random(seed))
        near = {t.number for t in past.trials if distance(t.architecture, made) == 1}
        assert near, "not a mutation of any trial"
        found |= near if len(near) == 1 else set()
    return found


def test_random_search_samples_the_space_whatever_happened() -> None:
    strategy = random_search()
    for past in (history([]), history([1.0, None, 0.5])):
        assert strategy.propose(past, random.Random(3)) == SPACE.sample(random.Random(3))


def test_evolution_is_random_until_a_population_is_complete() -> None:
    strategy = evolution(population=5, sample=2)
    for past in (history([]), history([1.0] * 4), history([1.0, None] * 4)):
        assert strategy.propose(past, random.Random(3)) == SPACE.sample(random.Random(3))
    assert strategy.propose(history([1.0] * 5), random.Random(3)) != SPACE.sample(random.Random(3))


def test_only_the_latest_compete_however_good_the_old_were() -> None:
    values = [1.0] * 10 + [0.1, 0.2, 0.3, 0.4, 0.5]
    assert parents(evolution(population=5, sample=2), history(values)) <= {10, 11, 12, 13, 14}


def test_trials_that_failed_neither_compete_nor_make_others_old() -> None:
    values = [0.5, None, 0.5, None, 0.5, None, None, None]
    assert parents(evolution(population=3, sample=2), history(values)) == {0, 2, 4}


def test_nan_never_competes() -> None:
    values = [0.5, float("nan"), 0.5, float("inf"), 0.5, float("-inf")]
    assert parents(evolution(population=3, sample=2), history(values)) == {0, 2, 4}


@pytest.mark.parametrize(("direction", "best", "worst"), [("maximize", 7, 0), ("minimize", 0, 7)])
def test_the_best_of_the_drawn_wins(direction: str, best: int, worst: int) -> None:
    past = history([i / 10 for i in range(8)], direction=direction)
    wins = [0] * 8
    for seed in range(400):
        made = Evolution(8, 4).propose(past, random.Random(seed))
        for trial in past.trials:
            wins[trial.number] += distance(trial.architecture, made) == 1
    # Drawn with replacement: the best is among 4 of 8 with probability 1 - (7/8)^4 = 0.41, the worst alone (1/8)^4.
    assert 120 < wins[best] < 215
    assert wins[worst] <= 5


def test_a_sample_of_the_whole_population_mostly_mutates_the_best() -> None:
    past = history([0.1, 0.9, 0.2, 0.3, 0.4])
    made = [Evolution(5, 5).propose(past, random.Random(seed)) for seed in range(200)]
    share = mean(distance(past.trials[1].architecture, one) == 1 for one in made)
    assert 0.55 < share < 0.8  # 1 - (4/5)^5 = 0.67


@pytest.mark.parametrize(
    ("budget", "trials", "population"),
    [(20, 0, 5), (10, 0, 5), (60, 3, 15), (100, 0, 25), (400, 0, 100), (10_000, 0, 100), (None, 3, 5), (None, 80, 20)],
)
def test_the_population_follows_the_budget(budget: int | None, trials: int, population: int) -> None:
    assert Evolution().population_for(history([0.5] * trials, budget=budget)) == population


@pytest.mark.parametrize(("alive", "sample"), [(5, 2), (8, 2), (12, 3), (100, 25)])
def test_a_tournament_is_a_quarter_of_the_population(alive: int, sample: int) -> None:
    assert Evolution().sample_for(alive) == sample


def test_another_budget_half_way_is_another_population() -> None:
    past = history([0.1] * 30, budget=40)
    assert parents(evolution(), past) <= set(range(20, 30))
    assert parents(evolution(), replace(past, budget=120)) - set(range(20, 30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "expected population to be an integer of at least 2, got 1"),
        ({"population": -5}, "expected population to be an integer of at least 2, got -5"),
        ({"population": "many"}, "expected population to be an integer of at least 2, got 'many'"),
        ({"population": True}, "expected population to be an integer of at least 2, got True"),
        ({"population": 7.5}, "expected population to be an integer of at least 2, got 7.5"),
        ({"sample": 0}, "expected sample to be an integer of at least 2, got 0"),
        ({"population": 4, "sample": 9}, "expected sample to be at most population, got sample=9 and population=4"),
    ],
)
def test_bad_options_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="strategy 'evolution': " + message):
        evolution(**options)


def test_strategies_are_found_by_name_with_options() -> None:
    registry = create_manager().registry
    assert build_strategy(registry, "evolution:population=9,sample=3") == Evolution(9, 3)
    assert build_strategy(registry, "random").propose(history([]), random.Random(0)) in SPACE
    with pytest.raises(UnknownNameError, match="unknown option of strategy 'random' 'population'"):
        build_strategy(registry, "random:population=4")


def best_after(strategy: Strategy, trials: int, seed: int) -> float:
    """The best true value after a search of noisy ones in which no architecture comes twice."""
    past, seen = history([], budget=trials), set()
    for number in range(trials):
        rng = random.Random(f"{seed} {number}")
        made = strategy.propose(past, rng)
        while made.digest in seen:
            made = strategy.propose(past, rng)
        seen.add(made.digest)
        value = toys.worth(made) + rng.gauss(0, 0.05)
        trial = Trial(number, "complete", made, made.digest, values=(value,))
        past = History(SPACE, past.objectives, [*past.trials, trial], trials)
    return max(toys.worth(trial.architecture) for trial in past.trials)


def test_evolution_finds_better_than_random_at_equal_budget() -> None:
    evolved, drawn = ([best_after(s, 80, seed) for seed in range(8)] for s in (evolution(), random_search()))
    assert mean(evolved) > mean(drawn) + 0.05
