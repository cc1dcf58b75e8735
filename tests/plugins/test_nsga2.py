"""NSGA-II: parents from the front, and a larger hypervolume than chance."""

from __future__ import annotations

import random

import pytest

from nas.controller.front import front, hypervolume, order
from nas.controller.history import Strategy
from nas.errors import ConfigError
from nas.testing import toys
from nas_plugins.nsga2 import nsga2
from nas_plugins.random_search import random_search


def test_nsga2_beats_chance_on_two_objectives() -> None:
    def covered(strategy: Strategy, seed: int) -> float:
        base = toys.with_cost(toys.history(toys.cell_space(), []))
        found = toys.searched(strategy, toys.cell_space(), 120, seed=seed, base=base)
        return hypervolume([(-t.values[0], t.values[1]) for t in found.trials if t.values], (0.0, 6.0))

    ours, chance = (sum(covered(each, seed) for seed in range(3)) for each in (nsga2(), random_search()))
    assert ours > chance * 1.05


def test_nsga2_draws_parents_from_the_front_and_crosses_them() -> None:
    space = toys.cell_space()
    past = toys.with_cost(toys.history(space, ["complete"] * 40))
    best = {trial.number for trial in front(past)}
    alive = [
        past.complete[i].architecture for i in order([(-t.values[0], t.values[1]) for t in past.complete if t.values])
    ]
    made = [nsga2(population=len(best)).propose(past, random.Random(seed)) for seed in range(60)]
    mixed = 0
    for each in made:
        options = [{parent.decisions[label] for parent in alive[: len(best)]} for label in each.decisions]
        mixed += sum(value in known for value, known in zip(each.decisions.values(), options, strict=True))
    assert mixed / (60 * 6) > 0.8, "most decisions come from the front"


def test_a_population_is_two_or_more() -> None:
    with pytest.raises(ConfigError, match="expected population to be an integer of at least 2, got 1"):
        nsga2(population=1)
