"""Successive mutation of the best: the (1+1) evolutionary algorithm (Droste, Jansen & Wegener, TCS 2002)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.controller.history import History, Strategy
    from nas.plugin.registry import Registrar
    from nas.space.architecture import Architecture


class Mutation:
    """Each decision of the incumbent changes with probability 1/n, at least one does.

    One change is the commonest, and any number is possible, so that no local optimum holds the search for ever.
    """

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """A mutant of the best complete trial, or a random architecture while there is none."""
        from nas.controller.limits import within

        space, best = history.space, history.best
        if best is None:
            return within(history, lambda: space.sample(rng), rng)
        many = max(1, len(best.architecture.decisions))

        def mutant() -> Architecture:
            changes = sum(rng.random() < 1 / many for _ in range(many))
            return space.mutate(best.architecture, rng, max(1, changes))

        return within(history, mutant, rng)


def mutation() -> Strategy:
    """Mutate the best network so far, mostly in one decision."""
    return Mutation()


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("mutation", mutation)
