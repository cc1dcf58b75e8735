"""Zero-cost proxies: what can be told of a network before it is trained, from one batch and without a step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.errors import CandidateError
from nas.model import Blueprint, Normalize, Units, blueprint
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.ports import Port, TaskInfo
from nas.train.data import Data
from nas.train.loop import stream
from nas.train.target import Target, Values

EXAMPLES = 64
"""Examples in a proxy's batch: what the published tables were computed with."""


@dataclass(frozen=True)
class Batch:
    """What proxies are fed with: examples of the part that is trained on.

    x: one tensor an input, (B, *port's shape), in units of their deviation, so that networks need no normalisation of
        their own; tokens are integers.
    y: what is asked, as `target` takes it; values are in units of their deviation.
    """

    x: tuple[Tensor, ...]
    y: Tensor
    target: Target

    def __len__(self) -> int:
        return len(self.y)

    def loss(self, network: nn.Module) -> Tensor:
        """The mean loss of the network on the batch."""
        return self.target.loss(network(*self.x), self.y)


Proxy = Callable[[nn.Module, Batch], float]
"""From a fresh network, which it may change, to a score; raises CandidateError where it does not apply."""


@dataclass(frozen=True)
class Scores:
    """What proxies say of one architecture: each has a value or the reason why there is none.

    values: proxy -> its score, NaN for one that is not finite.
    refusals: proxy -> why it does not apply to this network.
    seconds: proxy -> how long it took, the making of its network included.
    """

    values: Mapping[str, float]
    refusals: Mapping[str, str]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Scorer:
    """Scores one architecture after the other with the same batch and the same seed.

    The scores of an architecture depend on nothing else: not on what was scored before, nor on the other proxies. The
    generators of the process are left as they were.
    """

    proxies: Mapping[str, Proxy]
    blueprint: Callable[[Architecture], Blueprint]
    batch: Batch
    seed: int

    def score(self, architecture: Architecture) -> Scores:
        """What each proxy says; never raises because of the architecture."""
        try:
            plan = self.blueprint(architecture)
        except CandidateError as error:
            return Scores({}, dict.fromkeys(self.proxies, str(error)), {})
        values, refusals, seconds = {}, {}, {}
        for name in self.proxies:
            started = time.perf_counter()
            try:
                value = run_proxy(self.proxies[name], plan.build, self.batch, seed=self.seed, name=name)
                values[name] = value if math.isfinite(value) else math.nan
            except CandidateError as error:
                refusals[name] = str(error)
            except Exception as error:  # an operation that has no second derivative, memory, a plugin's mistake
                refusals[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
            seconds[name] = time.perf_counter() - started
        return Scores(values, refusals, seconds)


def run_proxy(proxy: Proxy, make: Callable[[], nn.Module], batch: Batch, *, seed: int, name: str) -> float:
    """The score of a network that is made, and looked at, under `seed`; PyTorch's generators are left as they were.

    name: of the proxy; what it draws differs from what others draw.
    """
    device = batch.y.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(stream(seed, "weights"))
        network = without_dropout(make().to(device))
        torch.manual_seed(stream(seed, name))
        return float(proxy(network, batch))


def make_scorer(
    registry: Registry, task: TaskInfo, names: Sequence[str], batch: Batch, seed: int, *, simplify: bool = True
) -> Scorer:
    """A scorer for networks of `task`, which a search trains simplified and published tables count with every node.

    Raises UnknownNameError, with the nearest name, for an unknown proxy.
    """
    proxies = {name: registry.get("proxy", name).load() for name in names}
    return Scorer(proxies, partial(blueprint, task=task, registry=registry, simplify=simplify), batch, seed)


def draw_batch(data: Data, ports: Sequence[Port], units: Units, target: Target, seed: int, size: int) -> Batch:
    """`size` random examples of `data`, or all where there are fewer."""
    generator = torch.Generator().manual_seed(stream(seed, "proxies"))
    x, y = data.batch(torch.randperm(len(data), generator=generator)[:size].to(data.y.device))
    numbers = zip_longest(units.inputs[: len(ports)], ports)
    x = tuple(_in_units(part, port, given) for part, (given, port) in zip(x, numbers, strict=True))
    if units.output is None:
        return Batch(x, y, target)
    mean, std = (torch.tensor(given, device=y.device) for given in (units.output.mean, units.output.std))
    y = (y.view(len(y), -1) - mean) / std
    return Batch(x, y, Values((1.0,) * y.shape[1]))


def without_dropout(network: nn.Module) -> nn.Module:
    """`network` in evaluation mode, but with the batch's own statistics: dropout would only add noise to scores."""
    for module in network.eval().modules():
        if isinstance(module, _BatchNorm):
            module.train()
        elif isinstance(module, nn.RNNBase):  # cuDNN gives gradients in training mode only
            module.train()
            module.dropout = 0.0
    return network


def _in_units(x: Tensor, port: Port, numbers: Normalize | None) -> Tensor:
    if numbers is None:
        return x
    shape = (-1, 1, 1) if port.kind == "image" else (-1,)
    mean, std = (torch.tensor(given, device=x.device).view(shape) for given in (numbers.mean, numbers.std))
    return (x - mean) / std
