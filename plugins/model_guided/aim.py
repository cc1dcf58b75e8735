"""What a proposal is after: one number of an architecture's values, and how much more of it the model expects.

With one objective the number is its rank. With several it is a hypervolume scalarisation under a direction drawn at
random (Golovin & Zhang, Random hypervolume scalarizations, ICML 2020): over all directions it sums to the hypervolume.
"""

from __future__ import annotations

import math
import random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from nas.controller.front import front_of

from .features import normal_ranks

Array = NDArray[np.float64]

FLOOR = -1.0
"""Values are cut so far below the front's worst, in units of its extent: how bad a bad one is does not matter."""
CORNER = -0.1
"""The reference of the hypervolume lies so far below the front's worst, so that its ends count."""
DRAWS = 64
"""Samples of what the model expects."""


class Aim(Protocol):
    """`targets` has a column (N,) an objective, for a model each; `worth` (N,) one number a trial."""

    targets: tuple[Array, ...]
    worth: Array

    def improvement(self, means: list[Array], deviations: list[Array]) -> Array:
        """How much more than the best worth is expected of candidates (M,) with these predictions of each target."""
        ...


def make_aim(values: Array, rng: random.Random) -> Aim:
    """For values (N, objectives), of which more is better."""
    return Best(values[:, 0]) if values.shape[1] == 1 else Direction(values, rng)


class Best:
    """The best rank; expected improvement as by Jones et al. 1998."""

    def __init__(self, values: Array) -> None:
        self.worth: Array = normal_ranks(values)
        self.targets: tuple[Array, ...] = (self.worth,)

    def improvement(self, means: list[Array], deviations: list[Array]) -> Array:
        """See `Aim`."""
        above = (means[0] - self.worth.max()) / deviations[0]
        return np.asarray(deviations[0] * (above * norm.cdf(above) + norm.pdf(above)))


class Direction:
    """As far as possible out in one direction, from a corner below the front."""

    def __init__(self, values: Array, rng: random.Random) -> None:
        front = values[front_of((-values).tolist())]
        low, high = front.min(axis=0), front.max(axis=0)
        extent = np.where(high > low, high - low, np.ptp(values, axis=0))
        scaled = np.maximum((values - low) / np.where(extent > 0, extent, 1.0), FLOOR)
        self.targets: tuple[Array, ...] = tuple(scaled.T)
        drawn = np.array([abs(rng.gauss(0.0, 1.0)) for _ in self.targets])
        self._direction = np.maximum(drawn / math.sqrt(drawn @ drawn), 1e-3)
        self._noise = np.random.default_rng(rng.getrandbits(64)).standard_normal((DRAWS, len(self.targets)))
        self.worth: Array = self._scalar(scaled)

    def _scalar(self, points: Array) -> Array:
        return np.asarray(((points - CORNER) / self._direction).min(axis=-1))

    def improvement(self, means: list[Array], deviations: list[Array]) -> Array:
        """See `Aim`."""
        mean, deviation = np.stack(means, axis=1), np.stack(deviations, axis=1)
        reached = self._scalar(mean[:, None] + deviation[:, None] * self._noise[None])
        return np.asarray(np.maximum(reached - self.worth.max(), 0.0).mean(axis=1))
