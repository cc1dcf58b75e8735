"""Which architecture to train next, as a model of the trials so far has it.

The first few are chosen to differ, and half of them to score well where zero-cost scores are to be had. From then on
candidates are mutations of the best, crossings of them and random ones; the one of which the model expects most
improvement is trained. Trials that still run count as if they had ended where the model expects, so that parallel
proposals differ.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from nas.controller.history import History, Score, Strategy
from nas.controller.limits import within
from nas.errors import ConfigError
from nas.space.architecture import Architecture

from .features import Encoder, normal_ranks
from .gaussian_process import GaussianProcess, Inputs
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
MUTATIONS = 10
"""Of each of the best."""
CROSSINGS = 20
RANDOM = 50
"""Candidates from anywhere, so that no part of the space is out of reach."""
SHORT = 8
"""Candidates that are scored before the last choice among them, where zero-cost scores are to be had."""


@dataclass(frozen=True)
class ModelGuided:
    """See the module.

    Expected improvement: Jones et al. 1998; candidates around the best: White et al., BANANAS, AAAI 2021; what running
    trials are taken for: Ginsbourger et al., Kriging is well-suited to parallelize optimization, 2010.
    """

    start: int = START
    encoder: Encoder = field(default_factory=Encoder, repr=False, compare=False)

    def propose(self, history: History, rng: random.Random) -> Architecture | Score:
        """The architecture from which most improvement is expected, or a wish for scores before that is said."""
        seen = {trial.digest for trial in history.trials}
        observed = observe(history)
        if len(observed.trials) < self.start:
            return self._begin(history, rng, seen)
        targets = normal_ranks(observed.scalar(rng))
        candidates = list(_fresh(history, _around(history, observed, targets, rng), seen))
        if not candidates:
            return within(history, lambda: history.space.sample(rng), rng)
        expected = self._improvement(replace(history, scores={}), observed, targets, candidates)
        if not history.proxies:
            return candidates[int(expected.argmax())]
        short: list[Architecture] = [candidates[i] for i in np.argsort(-expected, kind="stable")[:SHORT]]
        if (wish := _wish(history, short)) is not None:
            return wish
        judged = self._improvement(history, observed, targets, short)
        return short[int(judged.argmax())]

    def _begin(self, history: History, rng: random.Random, seen: set[str]) -> Architecture | Score:
        """The candidate least like all trials; every other time among those of a random pool that score best.

        Only every other time, for a model that has seen nothing but good networks cannot tell what makes them good.
        """
        pool = list(_fresh(history, (history.space.sample(rng) for _ in range(POOL)), seen))
        if not pool:
            return within(history, lambda: history.space.sample(rng), rng)
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
        gaps = np.linalg.norm(graphs[: len(pool), None] - graphs[None, len(pool) :], axis=2)
        return pool[int(gaps.min(axis=1).argmax())]

    def _improvement(
        self, history: History, observed: Observed, targets: Array, candidates: Sequence[Architecture]
    ) -> Array:
        """Expected improvement of each candidate over the best target."""
        trained = [trial.architecture for trial in observed.trials]
        running = [trial.architecture for trial in history.trials if not trial.finished]
        inputs = self.encoder.encode(history, [*trained, *running, *candidates])
        known, waiting = len(trained), len(trained) + len(running)
        model = GaussianProcess(inputs[:known], targets, observed.trust)
        if running:
            model = _believing(model, inputs[:waiting], targets, observed.trust)
        mean, deviation = model.predict(inputs[waiting:])
        above = (mean - targets.max()) / deviation
        return np.asarray(deviation * (above * norm.cdf(above) + norm.pdf(above)))


def _believing(model: GaussianProcess, inputs: Inputs, targets: Array, trust: Array) -> GaussianProcess:
    """The model after the running trials, the last of `inputs`, have turned out as it expects."""
    expected, _ = model.predict(inputs[len(targets) :])
    return model.given(inputs, np.concatenate([targets, expected]), np.concatenate([trust, np.ones(len(expected))]))


def _around(history: History, observed: Observed, targets: Array, rng: random.Random) -> Iterator[Architecture]:
    space = history.space
    best = [observed.trials[i].architecture for i in np.argsort(-targets, kind="stable")[:BEST]]
    for one in best:
        for _ in range(MUTATIONS):
            yield space.mutate(one, rng)
    for _ in range(CROSSINGS if len(best) > 1 else 0):
        one, other = rng.sample(best, 2)
        yield space.crossover(one, other, rng)
    for _ in range(RANDOM):
        yield space.sample(rng)


def _fresh(history: History, candidates: Iterable[Architecture], seen: set[str]) -> Iterator[Architecture]:
    """Those that are in no trial and are allowed, each network once."""
    met = set(seen)
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


def auto(*, start: int = START) -> Strategy:
    """Train what a model of the finished trials expects most of.

    start: finished trials before the model is asked. Raises ConfigError for fewer than 2.
    """
    if not isinstance(start, int) or isinstance(start, bool) or start < 2:
        raise ConfigError(f"strategy 'auto': expected start to be an integer of at least 2, got {start!r}")
    return ModelGuided(start)
