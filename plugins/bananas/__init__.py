"""BANANAS: an ensemble of networks predicts, independent Thompson sampling chooses (White et al., AAAI 2021)."""

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

PARENTS, CANDIDATES = 10, 100
"""Mutants of the best are looked at, as many as in the paper."""


@dataclass(frozen=True)
class Bananas:
    """After `start` random trials, candidates are mutants of the best, and the ensemble says which to train.

    As in the paper every candidate's quality is drawn from what the ensemble believes of it, so that proposals made
    side by side differ. Unlike there, the networks have one hidden layer and learn ranks, which no outlier bends, and
    they are trained anew for each proposal, since a strategy keeps nothing.
    """

    start: int = 10

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """The mutant with the highest quality drawn, or a random architecture in the beginning."""
        from nas.controller.limits import fits, within

        space = history.space
        if len(history.complete) < self.start:
            return within(history, lambda: space.sample(rng), rng)
        tried = {trial.digest for trial in history.trials}
        best = sorted(history.complete, key=history.score)[-PARENTS:]
        mutants = [space.mutate(rng.choice(best).architecture, rng) for _ in range(CANDIDATES)]
        fresh = {mutant.digest: mutant for mutant in mutants if mutant.digest not in tried}
        for candidate in self._ranked(history, list(fresh.values()), rng):
            if fits(history, candidate):
                return candidate
        return within(history, lambda: space.sample(rng), rng)

    def _ranked(self, history: History, candidates: list[Architecture], rng: random.Random) -> list[Architecture]:
        if not candidates:
            return []
        from .ensemble import believed, encoded, ranks

        x = encoded(history.space, [trial.architecture for trial in history.complete])
        y = ranks([history.score(trial) for trial in history.complete])
        mean, deviation = believed(x, y, encoded(history.space, candidates), seed=rng.getrandbits(32))
        drawn = [rng.gauss(float(m), float(d)) for m, d in zip(mean, deviation, strict=True)]
        order = sorted(range(len(candidates)), key=drawn.__getitem__, reverse=True)
        return [candidates[i] for i in order]


def bananas(*, start: int = 10) -> Strategy:
    """Train the mutant of the best that an ensemble of small networks expects most of.

    start: random trials before the first prediction.
    """
    if not isinstance(start, int) or isinstance(start, bool) or start < 2:
        raise ConfigError(f"strategy 'bananas': expected start to be an integer of at least 2, got {start!r}")
    return Bananas(start)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy("bananas", bananas)
