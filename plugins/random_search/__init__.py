"""Random search: what every other strategy must beat at equal budget."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.controller.history import History, Strategy
    from nas.plugin.registry import Registrar
    from nas.space.architecture import Architecture


class RandomSearch:
    """Every decision drawn uniformly, whatever was tried before (Li & Talwalkar, UAI 2019)."""

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """An architecture drawn from the space."""
        return history.space.sample(rng)


def random_search() -> Strategy:
    """Draw every architecture at random: the baseline."""
    return RandomSearch()


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("random", random_search)
