"""Local search: every neighbour of the incumbent, then the best of them (White et al., UAI 2021)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.controller.history import History, Strategy, Trial
    from nas.plugin.registry import Registrar
    from nas.space.architecture import Architecture
    from nas.space.space import Space


@dataclass(frozen=True)
class LocalSearch:
    """Climbs are read off the history: a complete trial that no earlier climb has looked at is the start of the next.

    The paper moves when the whole neighbourhood is known; with `first`, as its variant, as soon as one is better.
    """

    first: bool = False

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """A neighbour of the incumbent that is in no trial, or a random start where all climbs are at their top."""
        from nas.controller.limits import fits, within

        known = {trial.digest for trial in history.trials}
        complete = {trial.digest: trial for trial in history.complete}
        reached: set[str] = set()
        for start in history.complete:
            if start.digest not in reached:
                fresh = self._climb(history, start, known, complete, reached)
                for candidate in rng.sample(fresh, len(fresh)):
                    if fits(history, candidate):
                        return candidate
        return within(history, lambda: history.space.sample(rng), rng)

    def _climb(
        self, history: History, start: Trial, known: set[str], complete: dict[str, Trial], reached: set[str]
    ) -> list[Architecture]:
        """The unknown neighbours of the last incumbent on the way up from `start`; none at a local optimum.

        Neighbours that still run count as known and not better: nobody waits for them.
        """
        incumbent = start
        while True:
            around = neighbours(history.space, incumbent.architecture)
            reached |= {incumbent.digest, *(each.digest for each in around)}
            ended = [complete[each.digest] for each in around if each.digest in complete]
            best = max(ended, key=history.score, default=incumbent)
            higher = history.score(best) > history.score(incumbent)
            fresh = [each for each in around if each.digest not in known]
            if fresh and not (higher and self.first):
                return fresh
            if not higher:
                return []
            incumbent = best


@lru_cache(256)
def neighbours(space: Space, architecture: Architecture) -> tuple[Architecture, ...]:
    """Kept, for every proposal walks the same ways again, and digests take their time."""
    return tuple(space.neighbours(architecture))


def local_search(*, first: bool = False) -> Strategy:
    """Try every neighbour of the best, move to the best of them, start anew at the top.

    first: move to the first neighbour that is better instead of trying them all.
    """
    return LocalSearch(first)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("local_search", local_search)
