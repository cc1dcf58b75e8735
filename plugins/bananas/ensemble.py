"""An ensemble of small networks in plain NumPy, trained side by side: for a hundred points far faster than torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.space.architecture import Architecture
from nas.space.space import Space

Array: TypeAlias = NDArray[np.float64]

MEMBERS, HIDDEN, STEPS, RATE = 5, 32, 150, 0.02


def encoded(space: Space, architectures: Sequence[Architecture]) -> Array:
    """One row an architecture, one column an option of a decision: 1 where it is taken, -> (N, D)."""
    columns = {(d.label, type(name), name): 0 for d in space.decisions for name in d.names}
    columns = {key: number for number, key in enumerate(columns)}
    rows = np.zeros((len(architectures), len(columns)))
    for row, architecture in zip(rows, architectures, strict=True):
        for label, name in architecture.decisions.items():
            row[columns[label, type(name), name]] = 1.0
    return rows


def ranks(values: Sequence[float]) -> Array:
    """The share of the others that each value beats, from -1 to 1; equal ones have equal ranks."""
    x = np.asarray(values, float)
    below = (x[:, None] > x).sum(1) + 0.5 * ((x[:, None] == x).sum(1) - 1)
    shares: Array = below / max(1, len(x) - 1)
    return 2 * shares - 1.0


def believed(x: Array, y: Array, candidates: Array, *, seed: int) -> tuple[Array, Array]:
    """Mean and deviation of what the members, each from its own start, predict for `candidates`.

    x (N, D), y (N,), candidates (M, D) -> (M,), (M,). Trained with Adam on all points at once.
    """
    rng = np.random.default_rng(seed)
    n, d = x.shape
    w = [
        rng.normal(0, np.sqrt(2 / max(1, x.sum(1).mean())), (MEMBERS, d, HIDDEN)),
        np.zeros((MEMBERS, 1, HIDDEN)),
        rng.normal(0, np.sqrt(1 / HIDDEN), (MEMBERS, HIDDEN, 1)),
        np.zeros((MEMBERS, 1, 1)),
    ]
    mean, square = [np.zeros_like(p) for p in w], [np.zeros_like(p) for p in w]
    for step in range(1, STEPS + 1):
        hidden = np.maximum(x @ w[0] + w[1], 0.0)
        error = (hidden @ w[2] + w[3] - y[:, None]) * (2 / n)
        back = (error @ w[2].transpose(0, 2, 1)) * (hidden > 0)
        slopes = [x.T @ back, back.sum(1, keepdims=True), hidden.transpose(0, 2, 1) @ error]
        slopes.append(error.sum(1, keepdims=True))
        for p, slope, m, s in zip(w, slopes, mean, square, strict=True):
            m += 0.1 * (slope - m)
            s += 0.001 * (slope**2 - s)
            p -= RATE * (m / (1 - 0.9**step)) / (np.sqrt(s / (1 - 0.999**step)) + 1e-8)
    said = (np.maximum(candidates @ w[0] + w[1], 0.0) @ w[2] + w[3])[..., 0]
    return said.mean(0), said.std(0)
