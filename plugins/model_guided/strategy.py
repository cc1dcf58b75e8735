"""Which architecture to train next, as a model of the trials so far has it.

The first few are chosen to differ, and half of them to score well where zero-cost scores are to be had. From then on
candidates are mutations of the best, crossings of them and random ones; the one of which the model expects most
improvement is trained. Trials that still run count as if they had ended where the model expects, so that parallel
proposals differ.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nas.controller.history import History, Score, Strategy
from nas.controller.limits import within
from nas.errors import ConfigError
from nas.space.architecture import Architecture
from nas.space.flat import simplified

from .aim import Aim, make_aim
from .expectation import Expectation
from .features import Encoder, normal_ranks
from .gaussian_process import squared
from .observed import Observed, observe

Array = NDArray[np.float64]

START = 6
"""Trials before there is a model; ranks of fewer say nothing."""
POOL = 50
"""Random architectures that a start is chosen from."""
BEST = 10
"""Trials whose neighbourhood is searched: more than one, for the best so far may be a local optimum."""
SCORED = 16
"""Of the pool that are scored for one start; best of sixteen is among the best tenth four times of five."""
MUTATIONS = 6
"""Of each of the best."""
CHANGES = (1, 1, 2, 4)
"""Decisions changed by a mutation of them: mostly one, but a space of many decisions is not crossed in single steps."""
CROSSINGS = 20
RANDOM = 40
"""Candidates from anywhere, so that no part of the space is out of reach."""
SHORT = 8
"""Candidates that are kept: to be mutated, and to be scored where zero-cost scores are to be had."""
CLIMBS, STEPS = 3, 5
"""Rounds of mutating those that are kept, and mutations of each: to ask the model costs next to nothing."""
LARGE, LEAST = 40, 0.4
"""A network of so many blocks is large: the time for digest, check and features of a candidate grows with its blocks,
and of larger networks fewer candidates are looked at for one proposal, but not less than this share."""


@dataclass(frozen=True)
class ModelGuided:
    """See the module; candidates around the best as in BANANAS (White et al., AAAI 2021)."""

    start: int = START
    model: bool = True
    chosen: bool = True
    encoder: Encoder = field(default_factory=Encoder, repr=False, compare=False)

    def propose(self, history: History, rng: random.Random) -> Architecture | Score:
        """The architecture from which most improvement is expected, or a wish for scores before that is said."""
        with threadpool_limits(1), _no_collection():  # matrices are small, and the cores are the trials'
            return self._propose(history, rng)

    def explain(self, history: History) -> dict[str, float]:
        """By name the share of chains, decisions, each cost and each score in what the model goes by.

        Empty before there is a model with fitted weights.
        """
        observed = observe(history)
        if not self.model or len(observed.trials) < self.start:
            return {}
        with threadpool_limits(1):
            aim = make_aim(observed.values, random.Random(0))  # a direction is of no concern here
            return Expectation(self.encoder, history, observed, aim).shares()

    def _propose(self, history: History, rng: random.Random) -> Architecture | Score:
        seen = {trial.digest for trial in history.trials}
        observed = observe(history)
        if len(observed.trials) < self.start:
            return self._begin(history, rng, seen)
        aim = make_aim(observed.values, rng)
        if not self.model:
            around = _fresh(history, _around(history, observed, aim.worth, rng, 1.0), seen)
            return next(around, None) or within(history, lambda: history.space.sample(rng), rng)
        short = self._climb(replace(history, scores={}), observed, aim, rng, seen)
        if not short:
            return within(history, lambda: history.space.sample(rng), rng)
        if not history.proxies:
            return short[0]
        if (wish := _wish(history, short)) is not None:
            return wish
        expected = Expectation(self.encoder, history, observed, aim).improvement(short)
        return short[int(expected.argmax())]

    def _climb(
        self, history: History, observed: Observed, aim: Aim, rng: random.Random, seen: set[str]
    ) -> list[Architecture]:
        """The candidates of which most improvement is expected, after some rounds of mutating the best of them."""
        expectation = Expectation(self.encoder, history, observed, aim)
        met = set(seen)
        share = _share(observed.trials[int(aim.worth.argmax())].architecture)
        best = list(_fresh(history, _around(history, observed, aim.worth, rng, share), met))
        for climb in range(CLIMBS + 1):
            if best:
                order = np.argsort(-expectation.improvement(best), kind="stable")
                best = [best[i] for i in order[:SHORT]]
            if climb < CLIMBS:
                steps = (history.space.mutate(one, rng) for one in list(best) for _ in range(round(STEPS * share)))
                best += _fresh(history, steps, met)
        return best

    def _begin(self, history: History, rng: random.Random, seen: set[str]) -> Architecture | Score:
        """The candidate least like all trials; every other time among those of a random pool that score best.

        Only every other time, for a model that has seen nothing but good networks cannot tell what makes them good.
        """
        pool = list(_fresh(history, (history.space.sample(rng) for _ in range(POOL)), set(seen)))
        if not pool:
            return within(history, lambda: history.space.sample(rng), rng)
        if not self.chosen:
            return pool[0]
        if history.proxies and len(history.trials) % 2 == 0:
            pool = pool[:SCORED]
            if (wish := _wish(history, pool)) is not None:
                return wish
            scored = [candidate for candidate in pool if candidate.digest in history.scores] or pool
            places = _ranked(history, scored)
            pool = [scored[i] for i in np.argsort(-places, kind="stable")[: max(len(scored) // 5, 1)]]
        if not history.trials:
            return pool[0]
        inputs = self.encoder.encode(history, [*pool, *(trial.architecture for trial in history.trials)])
        graphs = inputs.groups[0]
        gaps = squared(graphs[: len(pool)], graphs[len(pool) :])
        return pool[int(gaps.min(axis=1).argmax())]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's search for cycles: it would look at all that Ray and torch have loaded, every few proposals."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _share(typical: Architecture) -> float:
    """Of all candidates that might be looked at, those that there is time for."""
    blocks = len(simplified(typical.graph)[0])
    return min(1.0, max(LEAST, LARGE / max(blocks, 1)))


def _around(
    history: History, observed: Observed, worth: Array, rng: random.Random, share: float
) -> Iterator[Architecture]:
    space = history.space
    best = [observed.trials[i].architecture for i in np.argsort(-worth, kind="stable")[:BEST]]
    for _ in range(round(MUTATIONS * share)):
        for one in best:
            yield space.mutate(one, rng, changes=rng.choice(CHANGES))
    for _ in range(round(CROSSINGS * share) if len(best) > 1 else 0):
        one, other = rng.sample(best, 2)
        yield space.crossover(one, other, rng)
    for _ in range(round(RANDOM * share)):
        yield space.sample(rng)


def _fresh(history: History, candidates: Iterable[Architecture], met: set[str]) -> Iterator[Architecture]:
    """Those that are allowed and whose digest is not among `met`, which takes it in."""
    for candidate in candidates:
        if candidate.digest not in met:
            met.add(candidate.digest)
            if history.allowed(candidate):
                yield candidate


def _wish(history: History, candidates: Sequence[Architecture]) -> Score | None:
    """The wish for the scores of those that have none yet, of so many as may be scored; None where there is none."""
    unknown = [candidate for candidate in candidates if candidate.digest not in history.scores]
    wanted = unknown[: history.scorable]
    return Score(tuple(wanted)) if wanted else None


def _ranked(history: History, pool: Sequence[Architecture]) -> Array:
    """The sum of each candidate's ranks over all scores; no score may be finite."""
    total = np.zeros(len(pool))
    for name in history.proxies:
        values = np.array([history.scores.get(candidate.digest, {}).get(name, -np.inf) for candidate in pool])
        total += normal_ranks(np.nan_to_num(values, nan=-np.inf))
    return total


def auto(*, start: int = START, model: bool = True, chosen: bool = True) -> Strategy:
    """Train what a model of the finished trials expects most of.

    start: finished trials before the model is asked.
    model: without it the mutation of one of the best is taken, to see what the model brings.
    chosen: without it the first trials are random, to see what choosing them brings.
    Raises ConfigError for a start below 2.
    """
    if not isinstance(start, int) or isinstance(start, bool) or start < 2:
        raise ConfigError(f"strategy 'auto': expected start to be an integer of at least 2, got {start!r}")
    for name, value in (("model", model), ("chosen", chosen)):
        if not isinstance(value, bool):
            raise ConfigError(f"strategy 'auto': expected {name} to be true or false, got {value!r}")
    return ModelGuided(start, model, chosen)
