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


def submodules(module: nn.Module) -> list[nn.Module]:
    """`module` and all that is inside it, each once: what `nn.Module.modules` gives, in other order and less time."""
    found, parts = {module}, [module]
    for part in parts:
        for child in part._modules.values():
            if child is not None and child not in found:
                found.add(child)
                parts.append(child)
    return parts


def count_params(module: nn.Module) -> int:
    """How many numbers `module` learns; shared ones count once."""
    return count_learned(submodules(module))


def count_learned(parts: Sequence[nn.Module]) -> int:
    """How many numbers modules learn, those inside them aside; shared ones count once."""
    held = (p for part in parts for p in part._parameters.values() if p is not None)
    return sum({id(p): p.numel() for p in held if p.requires_grad}.values())


def count_flops(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """The operations of one forward pass, as PyTorch counts them: those of matrix products, convolutions, attention."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(*inputs)
    return int(counter.get_total_flops())
