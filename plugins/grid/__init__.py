"""Grid search: every architecture of a small space, in a random order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nas.errors import ConfigError
from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.controller.history import History, Objective, Strategy
    from nas.plugin.registry import Registrar
    from nas.space.architecture import Architecture
    from nas.space.space import Space

LARGEST = 20_000
"""Enumerated and told apart in a few seconds; trained by hardly anyone."""


@dataclass(frozen=True)
class Grid:
    """In a random order, so that a search that is ended early has seen a fair sample of the space."""

    largest: int = LARGEST

    def check(self, space: Space, objectives: Sequence[Objective]) -> None:
        """Refuses a space that nobody would want to see all of."""
        if space.size > self.largest:
            raise ConfigError(
                f"strategy 'grid': expected a space of at most {self.largest:,} architectures, got {space.name!r} with "
                f"{space.size:,}; choose another strategy or grid:largest={space.size}"
            )

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """One that is in no trial; any, where all have been tried."""
        from nas.controller.limits import fits

        self.check(history.space, history.objectives)
        tried = {trial.digest for trial in history.trials}
        every = networks(history.space)
        left = [architecture for digest, architecture in every.items() if digest not in tried]
        while left:
            i = rng.randrange(len(left))
            if fits(history, left[i]):
                return left[i]
            left[i] = left[-1]
            left.pop()
        return history.space.sample(rng)


@lru_cache(4)
def networks(space: Space) -> dict[str, Architecture]:
    """Every network of the space by its digest; kept, for it is the same at every proposal."""
    found: dict[str, Architecture] = {}
    for architecture in space.enumerate():
        found.setdefault(architecture.digest, architecture)
    return found


def grid(*, largest: int = LARGEST) -> Strategy:
    """Try every architecture of a small space, in a random order.

    largest: the size of the space above which it refuses.
    """
    return Grid(largest)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("grid", grid)
