"""Arguments of blocks that are modules themselves: graphs of their own, and other blocks whose weights are shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.model.footprint import Footprint
from nas.space.ports import Port

Arguments = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A module as an argument: how source says it, and what it is while shapes are settled on the meta device."""

    text: str
    cls: type[nn.Module]
    arguments: Arguments

    def make(self) -> nn.Module:
        """A module of its shape."""
        return self.cls(**made(self.arguments))


def made(arguments: Arguments) -> dict[str, Any]:
    """The arguments by name, with modules in the place of parts."""
    return {name: value.make() if isinstance(value, Part) else value for name, value in arguments}


class StandIn(nn.Module):
    """A settled graph that gives its output's shape and does none of its work, however often a block runs it.

    It learns as many numbers as the graph; `examples` counts what it is run on, so that operations can be multiplied.
    """

    def __init__(
        self, *, inputs: tuple[Port, ...], output: Port, params: int, flops: int, footprint: Footprint
    ) -> None:
        super().__init__()
        self.inputs, self.output, self.flops, self.footprint = inputs, output, flops, footprint
        self.weight = nn.Parameter(torch.empty(params))
        self.examples = 0

    def forward(self, *given: Tensor) -> Tensor:
        """What the graph would give; raises ValueError for other inputs than it was settled for."""
        shapes = [tuple(tensor.shape[1:]) for tensor in given]
        if shapes != [port.shape for port in self.inputs]:
            raise ValueError(f"expected {', '.join(map(str, self.inputs))} for its graph, got shapes {shapes}")
        batch = given[0].shape[0]
        self.examples += batch
        made: Tensor = _Run.apply(self, self.weight, *given)  # type: ignore[no-untyped-call]
        return made


class _Run(torch.autograd.Function):
    """One run of a stand-in, which keeps for the backward pass as much as its graph does."""

    @staticmethod
    def forward(ctx: Any, graph: StandIn, weight: Tensor, *given: Tensor) -> Tensor:
        kept, batch = graph.footprint, given[0].shape[0]
        output = torch.empty((batch, *graph.output.shape), device=given[0].device)
        inside = (torch.empty(batch * kept.inside, dtype=torch.uint8, device=given[0].device),) if kept.inside else ()
        inputs = (x for x, keeps in zip(given, kept.inputs, strict=True) if keeps)
        ctx.save_for_backward(*inputs, *inside, *((output,) if kept.output else ()))
        return output


def flops_inside(parts: Iterable[nn.Module]) -> int:
    """The operations of all graphs among `parts` for the examples they were run on since they were last asked."""
    total = 0
    for part in parts:
        if isinstance(part, StandIn):
            total += part.examples * part.flops
            part.examples = 0
    return total
