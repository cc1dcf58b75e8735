"""What a candidate costs, measured before it is trained, and how long its forward pass takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor, nn

from nas.errors import CandidateError
from nas.model.compile import Blueprint, blueprint
from nas.model.count import Costs
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.ports import TaskInfo

WARMUP, RUNS = 3, 15
"""Forward passes that are not timed and that are: the median of fifteen is calm about what else the machine does."""
KEPT = 20_000
"""Candidates remembered, some megabytes; strategies ask about hundreds for each that is trained."""


More = Callable[[Architecture, Costs], Mapping[str, float]]
"""What follows from a candidate's costs and the settings of its recipe."""


class Measuring:
    """Parameters, operations, `more`, and where asked for latency of candidates; each network is measured once.

    Shapes and costs come from the meta device. Latency cannot: the network is built, untrained, and run in this process
    on the CPU, with as many threads as a trial gets.
    """

    def __init__(
        self,
        task: TaskInfo,
        registry: Registry,
        *,
        more: More | None = None,
        latency: bool = False,
        threads: int = 1,
    ) -> None:
        self._task = task
        self._registry = registry
        self._more = more
        self._latency = latency
        self._threads = threads
        self._known: dict[str, Mapping[str, float] | CandidateError] = {}
        self._quick: dict[str, Mapping[str, float] | CandidateError] = {}

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Raises CandidateError for one that cannot be built."""
        return _remembered(self._known, architecture, self._measured)

    def quick(self, architecture: Architecture) -> Mapping[str, float]:
        """Parameters and operations alone, for strategies, which ask about hundreds for each that is trained.

        Raises CandidateError for one that cannot be built.
        """
        return _remembered(self._quick, architecture, self._counted)

    def _measured(self, architecture: Architecture) -> Mapping[str, float]:
        plan = blueprint(architecture, self._task, self._registry, memory=self._more is not None)
        costs = {"params": float(plan.costs.params), "flops": float(plan.costs.flops)}
        costs |= {} if self._more is None else self._more(architecture, plan.costs)
        return costs | ({"latency_ms": self._milliseconds(plan)} if self._latency else {})

    def _counted(self, architecture: Architecture) -> Mapping[str, float]:
        costs = blueprint(architecture, self._task, self._registry, memory=False).costs
        return {"params": float(costs.params), "flops": float(costs.flops)}

    def _milliseconds(self, plan: Blueprint) -> float:
        try:
            with _threads(self._threads), torch.random.fork_rng(devices=[]):
                return latency_ms(plan.build(), example_of(self._task))
        except (MemoryError, RuntimeError) as error:
            raise CandidateError(f"its latency cannot be measured: {error}") from error


def _remembered(
    known: dict[str, Mapping[str, float] | CandidateError],
    architecture: Architecture,
    measured: Callable[[Architecture], Mapping[str, float]],
) -> Mapping[str, float]:
    found = known.get(architecture.digest)
    if found is None:
        try:
            found = measured(architecture)
        except CandidateError as error:
            found = error
        if len(known) >= KEPT:
            known.clear()
        known[architecture.digest] = found
    if isinstance(found, CandidateError):
        raise CandidateError(str(found))
    return found


def latency_ms(network: nn.Module, inputs: Sequence[Tensor]) -> float:
    """The median time of a forward pass in milliseconds, in evaluation mode, on the device of `inputs`."""
    was_training = network.training
    network.eval()
    times = []
    with torch.no_grad():
        for _ in range(WARMUP + RUNS):
            begun = time.perf_counter()
            network(*inputs)
            if inputs[0].is_cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begun)
    network.train(was_training)
    return 1000 * median(times[WARMUP:])


def example_of(task: TaskInfo) -> tuple[Tensor, ...]:
    """A batch of one made-up example of each input, (1, ...)."""
    return tuple(
        torch.zeros((1, *port.shape), dtype=torch.int64) if port.kind == "tokens" else torch.randn(1, *port.shape)
        for port in task.inputs
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
