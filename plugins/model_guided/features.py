"""From architectures to the numbers that the model reads, the same for every space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import norm, rankdata

from nas.controller.history import History
from nas.controller.limits import MEMORY
from nas.errors import CandidateError
from nas.space.architecture import Architecture
from nas.space.encode import chains

from .gaussian_process import Inputs, Sparse

Array = NDArray[np.float64]
Row = tuple[NDArray[np.intp], Array]
"""The columns of a matrix in which a row is not zero, and what it has there."""

SMALLEST = 1e-9
"""What is less is rounding: all rows are alike."""
KEPT = 5000
"""Architectures whose features stay in memory between proposals: some megabytes."""


class Encoder:
    """Features of architectures; the chains of those met before are kept, for a digest has the same ones for ever."""

    def __init__(self) -> None:
        self._known: dict[str, Row] = {}
        self._numbers: dict[Any, int] = {}

    def encode(self, history: History, architectures: Sequence[Architecture]) -> Inputs:
        """Chains of blocks, decisions, and as lines the ranks of the costs and of the zero-cost scores.

        Chains and decisions are scaled as a whole, so that the mean squared distance from their mean is 1 and a chain
        that is rare counts for as little as it says.
        """
        counts = _matrix([self._chains(a) for a in architectures])
        labels: dict[Any, int] = {}
        decided = _matrix([_row(dict.fromkeys(a.decisions.items(), 1.0), labels) for a in architectures])
        costs, cost_names = _ranked([_costs(history, a) for a in architectures])
        scores, score_names = _ranked([history.scores.get(a.digest, {}) for a in architectures])
        lines = [*(f"{name} (cost)" for name in cost_names), *(f"{name} (score)" for name in score_names)]
        names = ("chains", "decisions", *lines)
        sizes = (_size(counts), _size(decided))
        groups = tuple(matrix / size for matrix, size in zip((counts, decided), sizes, strict=True))
        return Inputs(groups, np.concatenate([costs, scores], axis=1), names, sizes)

    def _chains(self, architecture: Architecture) -> Row:
        found = self._known.get(architecture.digest)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
                self._numbers.clear()
            # in an order of their own: what a network was met as before must not show
            counted = {chain: math.log1p(times) for chain, times in sorted(chains(architecture).items())}
            found = self._known[architecture.digest] = _row(counted, self._numbers)
        return found


def normal_ranks(values: Sequence[float] | Array) -> Array:
    """Ranks turned into the quantiles of a normal distribution: no outlier, and no scale, can mislead a model."""
    array = np.asarray(values, dtype=float)
    return np.asarray(norm.ppf((rankdata(array) - 0.5) / max(len(array), 1)))


def _costs(history: History, architecture: Architecture) -> Mapping[str, float]:
    """Without memory, which on tables nobody has tried: it says little that parameters and operations don't."""
    try:
        return {name: value for name, value in history.measure(architecture).items() if name != MEMORY}
    except CandidateError:
        return {}


def _ranked(rows: Sequence[Mapping[str, float]]) -> tuple[Array, list[str]]:
    """A column a name, as normal ranks, and the names; what is not known or not finite is in the middle."""
    names = sorted({name for row in rows for name in row})
    columns = np.zeros((len(rows), len(names)))
    for j, name in enumerate(names):
        values = np.array([row.get(name, math.nan) for row in rows], dtype=float)
        known = np.isfinite(values)
        columns[known, j] = normal_ranks(values[known])
    return columns, names


def _row(values: Mapping[Any, float], numbers: dict[Any, int]) -> Row:
    """Each key's number, a new one for a new key, and its value."""
    found = [numbers.setdefault(key, len(numbers)) for key in values]
    return np.array(found, dtype=np.intp), np.fromiter(values.values(), dtype=float, count=len(found))


def _matrix(rows: Sequence[Row]) -> Sparse:
    """A column a key that some row has, in the order in which the rows have them first; most keys are in few rows."""
    _, first, number = np.unique(np.concatenate([row[0] for row in rows]), return_index=True, return_inverse=True)
    column = np.empty(len(first), dtype=np.intp)
    column[np.argsort(first)] = np.arange(len(first))
    ends = np.cumsum([0, *(len(row[0]) for row in rows)])
    return csr_array((np.concatenate([row[1] for row in rows]), column[number], ends), (len(rows), len(first)))


def _size(matrix: Sparse) -> float:
    """The root of the mean squared distance of the rows from their mean; 1 where all are alike."""
    centre = matrix.mean(axis=0)
    size = math.sqrt(max((matrix**2).sum() / matrix.shape[0] - centre @ centre, 0.0))
    return size if size > SMALLEST else 1.0
