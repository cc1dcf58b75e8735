"""A Gaussian process over architectures (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006).

Its kernel is a sum of two kinds of parts: a Matern 5/2 kernel for each group of features that say how alike two graphs
are, and a linear one for each number that may tell good from bad by itself (parameters, a zero-cost score). Each part
has a weight, and the weights are the most likely ones given the trials: a part that explains nothing loses its weight.
A number whose ranks have nothing to do with those of the trials is given little to begin with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]
Sparse = Any
"""A scipy.sparse.csr_array of floats: what architectures consist of differs, so that rows are mostly zero."""

MOST_FITTED = 100
"""Trials that the weights are fitted on, the latest; predictions use all. The time to fit grows with the cube."""
STEPS = 15
"""Of the optimiser: the weights need not be exact."""
SPREAD = 1.5
"""Standard deviation of the prior of each weight's logarithm: a factor of 4 either way is nothing unusual."""
GROUP, LINE, NOISE = 0.5, 0.3, 0.1
"""What the prior gives a group, a line and the noise, of targets with variance 1."""
LEAST = 0.01
"""Of its weight keeps a line for which nothing speaks: together with others it may still tell something."""
JITTER = 1e-6


@dataclass(frozen=True)
class Inputs:
    """Some architectures as the model sees them: a sparse matrix (N, D) a group, and a matrix (N, L) of lines.

    `names` has what each group and then each line is called, where somebody wants to know. `sizes` has what each group
    was divided by to be scaled. `apart`, where it is known, has each group's squared distances (N, N).
    """

    groups: tuple[Sparse, ...]
    lines: Array
    names: tuple[str, ...] = ()
    sizes: tuple[float, ...] = ()
    apart: tuple[Array, ...] | None = None

    def __getitem__(self, rows: slice) -> Inputs:
        apart = None if self.apart is None else tuple(known[rows, rows] for known in self.apart)
        groups = tuple(group[rows] for group in self.groups)
        return Inputs(groups, self.lines[rows], self.names, self.sizes, apart)

    def __len__(self) -> int:
        return len(self.lines)


class GaussianProcess:
    """Fitted to `targets` (N,) of `inputs`; `trust` (N,) is 1 for an observation of full weight, less for others.

    Targets are standardised within; predictions are in their own unit.
    """

    def __init__(self, inputs: Inputs, targets: Array, trust: Array) -> None:
        self._inputs, self._trust = inputs, trust
        self._mean, self._scale = float(targets.mean()), float(targets.std()) or 1.0
        targets = (targets - self._mean) / self._scale
        groups, lines = len(inputs.groups), inputs.lines.shape[1]
        by_line = LINE / max(lines, 1) * _evidence(inputs.lines, targets)
        prior = np.log([*([GROUP, 1.0] * groups), *by_line, NOISE])
        some = slice(-MOST_FITTED, None)
        self.fitted = len(targets) >= len(prior)
        self._weights = _fitted(prior, inputs[some], targets[some], trust[some])
        self._solve(targets)

    def given(self, inputs: Inputs, targets: Array, trust: Array) -> GaussianProcess:
        """A model with the same weights and other observations."""
        other = copy(self)
        other._inputs, other._trust = inputs, trust
        other._solve((targets - self._mean) / self._scale)
        return other

    def _solve(self, targets: Array) -> None:
        covariance = _kernel(self._inputs, self._inputs, self._weights)
        self._factor = cho_factor(covariance + _noise(self._weights, self._trust), lower=True)
        self._solved = cho_solve(self._factor, targets)

    @property
    def shares(self) -> Array:
        """The share of the explained variance that each group and then each line has, (G + L,)."""
        groups = 2 * len(self._inputs.groups)
        weights = np.exp(np.concatenate([self._weights[:groups:2], self._weights[groups:-1]]))
        return np.asarray(weights / weights.sum())

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """Mean and standard deviation of the targets of other architectures, (M,) each."""
        across = _kernel(inputs, self._inputs, self._weights)
        own = np.exp(self._weights[: 2 * len(inputs.groups) : 2]).sum()
        own = own + inputs.lines**2 @ np.exp(self._weights[2 * len(inputs.groups) : -1])
        explained = np.einsum("ij,ji->i", across, cho_solve(self._factor, across.T))
        mean, deviation = across @ self._solved, np.sqrt(np.maximum(own - explained, JITTER))
        return self._mean + self._scale * mean, self._scale * deviation


def _fitted(prior: Array, inputs: Inputs, targets: Array, trust: Array) -> Array:
    """The weights with the highest posterior; those of the prior where there is too little to fit them to."""
    if len(targets) < len(prior):
        return prior
    distances = distances_of(inputs, inputs)
    products = [np.outer(line, line) for line in inputs.lines.T]

    def loss(weights: Array) -> tuple[float, Array]:
        """Minus the logarithm of the posterior, and its gradient."""
        noise = _noise(weights, trust)
        try:
            factor = cho_factor(_sum(distances, products, weights) + noise, lower=True)
        except (LinAlgError, ValueError):
            return 1e9, np.zeros(len(weights))
        solved = cho_solve(factor, targets)
        fit = targets @ solved / 2 + np.log(np.diag(factor[0])).sum()
        surprise = cho_solve(factor, np.eye(len(targets))) - np.outer(solved, solved)
        slopes = np.array([(surprise * slope).sum() / 2 for slope in _slopes(distances, products, weights, noise)])
        off = (weights - prior) / SPREAD
        return float(fit + off @ off / 2), slopes + off / SPREAD

    bounds = [(p - 4 * SPREAD, p + 4 * SPREAD) for p in prior]
    return np.asarray(minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x)


def _evidence(lines: Array, targets: Array) -> Array:
    """How much speaks for each line by itself, (L,), from LEAST to 1: whether it and the targets rise or fall together.

    Both are standardised ranks, so that their correlation r is Spearman's; r^2 (N - 1) is about 1 for one that has
    nothing to do with the targets.
    """
    spread = lines.std(axis=0)
    together = ((lines - lines.mean(axis=0)) * targets[:, None]).mean(axis=0)
    correlation = np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0)
    speaks = correlation**2 * (len(targets) - 1)
    return np.asarray(np.maximum((speaks / (speaks + 1)) ** 2, LEAST))


def _slopes(distances: Sequence[Array], products: Sequence[Array], weights: Array, noise: Array) -> Iterator[Array]:
    """The derivative of the covariance by each of the weights, in their order."""
    groups = 2 * len(distances)
    for squared, weight, length in zip(distances, weights[:groups:2], weights[1:groups:2], strict=True):
        r = np.sqrt(5 * squared) * np.exp(-length)
        decay = np.exp(weight - r)
        yield decay * (1 + r + r * r / 3)
        yield decay * (r * r + r * r * r) / 3
    for product, weight in zip(products, weights[groups:-1], strict=True):
        yield np.exp(weight) * product
    yield noise - JITTER * np.eye(len(noise))


def _noise(weights: Array, trust: Array) -> Array:
    return np.diag(np.exp(weights[-1]) / trust + JITTER)


def _kernel(one: Inputs, other: Inputs, weights: Array) -> Array:
    distances = distances_of(one, other)
    products = [np.outer(a, b) for a, b in zip(one.lines.T, other.lines.T, strict=True)]
    return _sum(distances, products, weights)


def _sum(distances: Sequence[Array], products: Sequence[Array], weights: Array) -> Array:
    groups = 2 * len(distances)
    total: Array = np.zeros(())
    for squared, weight, length in zip(distances, weights[:groups:2], weights[1:groups:2], strict=True):
        r = np.sqrt(5 * squared) * np.exp(-length)
        total = total + np.exp(weight) * (1 + r + r * r / 3) * np.exp(-r)
    for product, weight in zip(products, weights[groups:-1], strict=True):
        total = total + np.exp(weight) * product
    return total


def distances_of(one: Inputs, other: Inputs) -> tuple[Array, ...]:
    """The squared distances (N, M) of each group; among the same ones they may be known."""
    if one is other and one.apart is not None:
        return one.apart
    return tuple(squared(a, b) for a, b in zip(one.groups, other.groups, strict=True))


def squared(one: Sparse, other: Sparse) -> Array:
    """Squared distances of all rows of the one from all rows of the other."""
    both = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * (one @ other.T).toarray()
    return np.asarray(np.maximum(both, 0))
