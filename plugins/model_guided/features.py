"""From architectures to the numbers that the model reads, the same for every space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from nas.controller.history import History
from nas.errors import CandidateError
from nas.space.architecture import Architecture
from nas.space.encode import Chain, chains

from .gaussian_process import Inputs

Array = NDArray[np.float64]

KEPT = 5000
"""Architectures whose features stay in memory between proposals: some megabytes."""


class Encoder:
    """Features of architectures; the chains of those met before are kept, for a digest has the same ones for ever."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[Chain, float]] = {}

    def encode(self, history: History, architectures: Sequence[Architecture]) -> Inputs:
        """Chains of blocks, decisions, and as lines the ranks of the costs and of the zero-cost scores.

        Chains and decisions are centred and scaled as a whole, so that the mean squared norm is 1 and a chain that is
        rare counts for as little as it says.
        """
        counts = _matrix([self._chains(a) for a in architectures])
        decided = _matrix([dict.fromkeys(a.decisions.items(), 1.0) for a in architectures])
        costs = _ranked([_costs(history, a) for a in architectures])
        scores = _ranked([history.scores.get(a.digest, {}) for a in architectures])
        return Inputs((_scaled(counts), _scaled(decided)), np.concatenate([costs, scores], axis=1))

    def _chains(self, architecture: Architecture) -> Mapping[Chain, float]:
        found = self._known.get(architecture.digest)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = {chain: math.log1p(times) for chain, times in chains(architecture).items()}
            self._known[architecture.digest] = found
        return found


def normal_ranks(values: Sequence[float] | Array) -> Array:
    """Ranks turned into the quantiles of a normal distribution: no outlier, and no scale, can mislead a model."""
    array = np.asarray(values, dtype=float)
    return np.asarray(norm.ppf((rankdata(array) - 0.5) / max(len(array), 1)))


def _costs(history: History, architecture: Architecture) -> Mapping[str, float]:
    try:
        return history.measure(architecture)
    except CandidateError:
        return {}


def _ranked(rows: Sequence[Mapping[str, float]]) -> Array:
    """A column a name, as normal ranks; what is not known or not finite is in the middle."""
    names = sorted({name for row in rows for name in row})
    columns = np.zeros((len(rows), len(names)))
    for j, name in enumerate(names):
        values = np.array([row.get(name, math.nan) for row in rows], dtype=float)
        known = np.isfinite(values)
        columns[known, j] = normal_ranks(values[known])
    return columns


def _matrix(rows: Sequence[Mapping[Any, float]]) -> Array:
    index: dict[Any, int] = {}
    for row in rows:
        for key in row:
            index.setdefault(key, len(index))
    matrix = np.zeros((len(rows), len(index)))
    for i, row in enumerate(rows):
        for key, value in row.items():
            matrix[i, index[key]] = value
    return matrix


def _scaled(matrix: Array) -> Array:
    centred = matrix - matrix.mean(axis=0)
    size = math.sqrt((centred**2).sum(axis=1).mean())
    return np.asarray(centred / size if size else centred)
