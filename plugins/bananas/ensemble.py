"""An ensemble of small networks in plain NumPy, trained side by side: for a hundred points far faster than torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nas.space.architecture import Architecture
from nas.space.space import Space

Array: TypeAlias = NDArray[np.float32]

MEMBERS, HIDDEN, STEPS, RATE = 5, 32, 100, 0.02


def encoded(space: Space, architectures: Sequence[Architecture]) -> Array:
    """One row an architecture, one column an option of a decision: 1 where it is taken, -> (N, D)."""
    starts = np.cumsum([0, *(len(decision.names) for decision in space.decisions)])
    rows = np.zeros((len(architectures), starts[-1]), np.float32)
    for row, architecture in zip(rows, architectures, strict=True):
        row[[start + pick for start, pick in zip(starts, space.picks(architecture), strict=False) if pick >= 0]] = 1.0
    return rows


def ranks(values: Sequence[float]) -> Array:
    """The share of the others that each value beats, from -1 to 1; equal ones have equal ranks."""
    x = np.asarray(values, float)
    below = (x[:, None] > x).sum(1) + 0.5 * ((x[:, None] == x).sum(1) - 1)
    return np.asarray(2 * below / max(1, len(x) - 1) - 1, np.float32)


def believed(x: Array, y: Array, candidates: Array, *, seed: int) -> tuple[Array, Array]:
    """Mean and deviation of what the members, each from its own start, predict for `candidates`.

    x (N, D), y (N,), candidates (M, D) -> (M,), (M,). One hidden layer holds the units of all members, so that a step
    of Adam on all points is two products of matrices.
    """
    rng = np.random.default_rng(seed)
    units, taken = MEMBERS * HIDDEN, max(1.0, float(x.sum(1).mean()))
    weights = [
        np.asarray(rng.normal(0, np.sqrt(2 / taken), (x.shape[1], units)), np.float32),
        np.zeros(units, np.float32),
        np.asarray(rng.normal(0, np.sqrt(1 / HIDDEN), units), np.float32),
        np.zeros((MEMBERS, 1), np.float32),
    ]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    # the trials have the cores: threads of ours would wait for one another, and take twenty times as long
    with threadpool_limits(1):
        for step in range(1, STEPS + 1):
            hidden, said = _forward(x, weights)
            error = (said - y) * (2 / len(x))  # (members, N)
            each = np.repeat(error.T, HIDDEN, axis=1)  # (N, units)
            back = each * weights[2] * (hidden > 0)
            slopes = [x.T @ back, back.sum(0), (each * hidden).sum(0), error.sum(1, keepdims=True)]
            for weight, slope, mean, square in zip(weights, slopes, means, squares, strict=True):
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope**2 - square)
                weight -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        _, said = _forward(candidates, weights)
    return said.mean(0), said.std(0)


def _forward(x: Array, weights: Sequence[Array]) -> tuple[Array, Array]:
    """The hidden units (N, units) and what each member says (members, N)."""
    hidden = np.maximum(x @ weights[0] + weights[1], 0.0)
    said = (hidden * weights[2]).reshape(len(x), MEMBERS, HIDDEN).sum(2)
    return hidden, said.T + weights[3]
