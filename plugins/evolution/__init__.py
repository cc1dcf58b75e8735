"""Regularized evolution: tournaments among the youngest, mutation of the winner (Real et al., AAAI 2019)."""

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

SMALLEST, LARGEST = 5, 100


@dataclass(frozen=True)
class Evolution:
    """The population is the latest `population` complete trials, so that the old die however good they were.

    A tournament draws `sample` of them with replacement and mutates the best. Until a whole population is complete,
    architectures are random. The paper has a population of 100 and a sample of 25; here they follow the budget.
    """

    population: int | None = None
    sample: int | None = None

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """The mutated winner of a tournament, or a random architecture while there are too few."""
        size = self.population_for(history)
        alive = history.complete[-size:]
        if len(alive) < size:
            return history.space.sample(rng)
        drawn = [rng.choice(alive) for _ in range(self.sample_for(len(alive)))]
        return history.space.mutate(max(drawn, key=history.score).architecture, rng)

    def population_for(self, history: History) -> int:
        """How many of the latest trials are alive."""
        budget = history.budget or len(history.trials)
        return self.population or min(max(budget // 4, SMALLEST), LARGEST)

    def sample_for(self, alive: int) -> int:
        """How many of the living a tournament draws."""
        return self.sample or max(alive // 4, 2)


def evolution(*, population: int | None = None, sample: int | None = None) -> Strategy:
    """Mutate the winner of a tournament among the latest networks.

    population: how many of the latest complete trials compete; None is a quarter of the budget, or of the trials so far
        where only time bounds the search, within 5 and 100.
    sample: how many of them a tournament draws; None is a quarter of the population, at least 2.
    Raises ConfigError for numbers below 2 or a sample larger than the population.
    """
    for name, value in (("population", population), ("sample", sample)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 2):
            raise ConfigError(f"strategy 'evolution': expected {name} to be an integer of at least 2, got {value!r}")
    if population is not None and sample is not None and sample > population:
        raise ConfigError(
            f"strategy 'evolution': expected sample to be at most population, got sample={sample} and "
            f"population={population}; give a smaller sample"
        )
    return Evolution(population, sample)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("evolution", evolution)
