"""NSGA-II over graphs: fronts, crowding, crossover and mutation (Deb et al., IEEE TEC 2002)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import ConfigError
from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.controller.history import History, Strategy
    from nas.plugin.registry import Registrar
    from nas.space.architecture import Architecture

SMALLEST, LARGEST = 10, 100
CROSSED = 0.9
"""The share of children that have two parents, as in the paper."""


@dataclass(frozen=True)
class Nsga2:
    """The population are the best of all complete trials: by front, and within a front where it is least crowded.

    The paper's generations keep the best of parents and children, which over all of a search comes to the same, and
    need not be waited for. Until a whole population is complete, architectures are random.
    """

    population: int | None = None

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """A mutated child of two winners of tournaments between two, or a random architecture in the beginning."""
        from nas.controller.front import costs, order
        from nas.controller.limits import within

        space, complete, size = history.space, history.complete, self.population_for(history)
        if len(complete) < size:
            return within(history, lambda: space.sample(rng), rng)
        alive = [complete[i].architecture for i in order(costs(history, complete))[:size]]

        def child() -> Architecture:
            one, other = (alive[min(rng.randrange(size), rng.randrange(size))] for _ in range(2))
            made = space.crossover(one, other, rng) if rng.random() < CROSSED else one
            many = max(1, len(made.decisions))
            changes = sum(rng.random() < 1 / many for _ in range(many))
            return space.mutate(made, rng, changes) if changes else made

        return within(history, child, rng)

    def population_for(self, history: History) -> int:
        """How many are alive."""
        budget = history.budget or len(history.trials)
        return self.population or min(max(budget // 4, SMALLEST), LARGEST)


def nsga2(*, population: int | None = None) -> Strategy:
    """Cross and mutate what is on the front of several objectives, and where it is thin.

    population: how many complete trials have children; None is a quarter of the budget, or of the trials so far where
        only time bounds the search, within 10 and 100.
    """
    if population is not None and (not isinstance(population, int) or isinstance(population, bool) or population < 2):
        raise ConfigError(f"strategy 'nsga2': expected population to be an integer of at least 2, got {population!r}")
    return Nsga2(population)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("nsga2", nsga2)
