"""Parameters and floating-point operations of a module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs before anything is trained: learned numbers, and operations and memory for one example.

    A multiplication and an addition are two operations. `training` and `evaluating` are the bytes, of 4 a number, that
    one example takes at the peak of a training step, and of a forward pass without gradients; weights are not in them.
    They are NaN where nobody asked for them.
    """

    params: int
    flops: int
    training: float = math.nan
    evaluating: float = math.nan


def count_params(module: nn.Module) -> int:
    """How many numbers `module` learns; shared ones count once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_flops(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """The operations of one forward pass, as PyTorch counts them: those of matrix products, convolutions, attention."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(*inputs)
    return int(counter.get_total_flops())
