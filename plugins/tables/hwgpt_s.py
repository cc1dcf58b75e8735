"""HW-GPT-Bench-S (Sukthanker et al., NeurIPS 2024): perplexity of GPT-like decoders against latency on a device.

10,000 of the 1.9e12 architectures of the space are in the file; they are answered exactly. All others are answered, as
in the paper, by a surrogate: what was measured is, but for noise, a sum over layers for each width, so a ridge
regression with a term for every head count and MLP ratio of every layer fits it (`Additive`). Held-out Spearman
correlations are in docs/benchmarks.md. The alternative, a search among the published rows alone, would leave a strategy
nothing to mutate. Networks inherit the weights of one supernet, so a trial is an evaluation: a minute, say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from nas.controller.front import hypervolume, turned
from nas.controller.history import Objective
from nas.controller.table import Row, Table
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

from .files import columns, one_of

NAME = "hwgpt_s"
SOURCE = "hwgpt_s.npz, the rows of HW-GPT-Bench's scale S (automl/HW-GPT-Bench on GitHub; see docs/benchmarks.md)"
TASK = TaskInfo("hwgpt_s", (Port("tokens", (1024,)),), 50_254, "token", vocabulary=50_254)
DEVICES = (
    *("a100", "a40", "a6000", "h100", "P100", "v100", "rtx2080", "rtx3080"),
    *("cpu_a6000", "cpu_alldlc", "cpu_meta", "cpu_mlgpu", "cpu_p100", "helix_cpu"),
)
WIDTHS, DEPTHS, HEADS, RATIOS = (192, 384, 768), (10, 11, 12), (4, 8, 12), (2, 3, 4)
SHAPE = ("embed_dim", "bias", "n_head", "mlp_ratio")
SECONDS = 60.0
RIDGE = 1e-3
"""Terms of a layer add up to whether it is there, so that least squares alone has no one solution."""
WEIGHTS = np.geomspace(1e-3, 1e3, 61)
"""Prices of latency at which the best known front is sought."""

Values = np.ndarray[Any, Any]


def hwgpt_s(registry: Registry, *, path: str, device: str = "a100") -> Table:
    """Decoders of scale S: perplexity against latency (Sukthanker et al., NeurIPS 2024).

    path: the file. device: on which latency was measured.
    """
    one_of(f"device of table {NAME!r}", device, DEVICES)
    measured = ("perplexity", f"lat_ms_{device}", "params", "flops")
    found = columns(path, (*SHAPE, "n_layer", *measured), NAME, SOURCE)
    shapes = np.column_stack([found["embed_dim"], found["bias"], found["n_head"], found["mlp_ratio"]]).astype(int)
    values = np.column_stack([found[name] for name in measured]).astype(float)
    return Decoders(build_space(registry, "decoder", TASK), shapes, values)


@dataclass(frozen=True)
class Decoders:
    """The table. shapes (N, 26): width, biases, heads and MLP ratio of 12 layers, 0 where there is none.

    values (N, 4): perplexity, latency in milliseconds, parameters, FLOPs.
    """

    space: Space
    shapes: Values
    values: Values
    judge: None = None
    proxies: tuple[str, ...] = ()
    objectives: tuple[Objective, ...] = (
        Objective("perplexity", "perplexity", "minimize"),
        Objective("latency_ms", "latency_ms", "minimize"),
    )

    @cached_property
    def best(self) -> float:
        """See `Table`: rows, and the best sums of layers at many prices of latency."""
        points = [*map(tuple, self.values[:, :2].tolist()), *self._sought()]
        return hypervolume([turned(p, self.objectives) for p in points], turned(self.reference, self.objectives))

    @cached_property
    def reference(self) -> tuple[float, ...]:
        """See `Table`: the worst perplexity and latency of any row."""
        return tuple(self.values[:, :2].max(axis=0).tolist())

    def row(self, architecture: Architecture) -> Row:
        """See `Table`: a row of the file if it is one, else what the surrogate says."""
        shape = shape_of(architecture)
        number = self._numbers.get(shape)
        values = self.values[number] if number is not None else self.surrogate.predict(np.array([shape]))[0]
        perplexity, latency, params, flops = map(float, values)
        costs = {"params": float(round(params)), "flops": float(round(flops)), "latency_ms": latency}
        return Row(({"perplexity": perplexity},), SECONDS, costs=costs)

    @cached_property
    def surrogate(self) -> Additive:
        """Fitted on all rows."""
        return Additive.fit(self.shapes, self.values)

    @cached_property
    def _numbers(self) -> dict[tuple[int, ...], int]:
        return {tuple(shape): number for number, shape in enumerate(self.shapes.tolist())}

    def _sought(self) -> Iterator[tuple[float, ...]]:
        shapes = np.array([s for price in WEIGHTS for s in self.surrogate.cheapest(price)])
        yield from map(tuple, self.surrogate.predict(np.unique(shapes, axis=0))[:, :2].tolist())


def shape_of(architecture: Architecture) -> tuple[int, ...]:
    """What the table knows an architecture by: a row of `Decoders.shapes`."""
    said: Any = architecture.decisions
    layers = range(max(DEPTHS))
    heads, ratios = ([said.get(f"layer{i}/{name}", 0) for i in layers] for name in ("heads", "mlp_ratio"))
    return (said["embed_dim"], int(said["bias"]), *heads, *ratios)


@dataclass(frozen=True)
class Additive:
    """For each width a constant, a term for biases, and one for every head count and MLP ratio of every layer.

    terms: width -> (74, quantities).
    """

    terms: dict[int, Values]

    @classmethod
    def fit(cls, shapes: Values, values: Values) -> Additive:
        """Ridge regression of values (N, K), each in units of its mean."""
        found = {}
        unit = values.mean(axis=0)
        for width in WIDTHS:
            rows = shapes[:, 0] == width
            x, y = _indicators(shapes[rows]), values[rows] / unit
            found[width] = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y) * unit
        return cls(found)

    def predict(self, shapes: Values) -> Values:
        """Values (N, K)."""
        x = _indicators(shapes)
        made = np.empty((len(shapes), next(iter(self.terms.values())).shape[1]))
        for width, terms in self.terms.items():
            rows = shapes[:, 0] == width
            made[rows] = x[rows] @ terms
        return made

    def cheapest(self, price: float) -> Iterator[Sequence[int]]:
        """For each width, depth and bias the layers of least perplexity + price x latency: each layer's own choice."""
        for width, depth, bias in product(WIDTHS, DEPTHS, (0, 1)):
            heads, ratios = (self.terms[width][2:, :2] @ (1.0, price)).reshape(2, len(HEADS), -1).argmin(axis=1)
            none = [0] * (max(DEPTHS) - depth)
            picked = ([HEADS[i] for i in heads[:depth]], [RATIOS[i] for i in ratios[:depth]])
            yield (width, bias, *picked[0], *none, *picked[1], *none)


def _indicators(shapes: Values) -> Values:
    """(N, 26) -> (N, 74): one, biases, then whether layer i has this many heads, this MLP ratio."""
    heads, ratios = np.split(shapes[:, 2:], 2, axis=1)
    said = [heads == n for n in HEADS] + [ratios == n for n in RATIOS]
    return np.concatenate([np.ones((len(shapes), 1)), shapes[:, 1:2], *said], axis=1).astype(float)
