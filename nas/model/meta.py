"""Running a module on the meta device, while counting its operations."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nas.model.rules import META, aten, outcome

SOFTMAX, VIEW, ADD = aten._safe_softmax.default, aten._unsafe_view.default, aten.add.Tensor
LIFT = aten.lift_fresh.default
FILLING = frozenset((aten.zero_.default, aten.fill_.Scalar, aten.uniform_.default, aten.normal_.default))
"""What gives first values to a tensor that has none there."""
PRODUCTS = frozenset((aten.addmm.default, aten.bmm.default, aten.mm.default))


class _Made(weakref.ref[Tensor]):
    """A tensor that was made, its bytes, and the peak before."""

    __slots__ = ("before", "key", "size")
    before: int
    key: int
    size: int


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that never runs in what is compiled."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to tell the compiler at each operator takes as long as the operator."""
        return False


class Counting(_Mode):  # type: ignore[no-untyped-call]
    """Adds up in `flops` the operations of what runs inside, as PyTorch's FlopCounterMode counts them.

    `made` is the bytes of all tensors made inside, `peak` of those that were there at once, gradients aside. `fused` is
    what PyTorch makes here, but not where it trains: there it has kernels of attention that never hold the weights of
    all pairs of positions.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.made = self.peak = 0
        self._there = 0
        self._alive: dict[int, _Made] = {}
        self.fused: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What `func` gives."""
        kwargs = kwargs or {}
        out = outcome(func, args, kwargs)
        if (operations := _operations(func)) is not None:
            self.flops += operations(args, kwargs, out)
        if func is SOFTMAX:
            self._forget(args[0], out)
        elif not func.is_view:
            for made in (out,) if isinstance(out, Tensor) else out if isinstance(out, tuple) else ():
                if (not args or made is not args[0]) and made.nbytes:
                    self._note(made, func, args)
        return out

    def _note(self, made: Tensor, func: Any, args: Sequence[Any]) -> None:
        ref = _Made(made, self._gone)
        ref.key, ref.size, ref.before = id(made), made.nbytes, self.peak
        first = self._alive.get(id(args[0])) if func is VIEW or func is ADD else None
        self._alive[ref.key] = ref
        if first is not None:
            ref.before = first.before  # of a product, and of scores to which a mask is added
            if func is VIEW:  # the same memory, and the product itself is let go of
                first.size = 0
                return
        self.made += ref.size
        self._there += ref.size
        if self._there > self.peak:
            self.peak = self._there

    def _gone(self, ref: _Made) -> None:
        self._there -= ref.size
        if self._alive.get(ref.key) is ref:
            del self._alive[ref.key]

    def _forget(self, scores: Tensor, weights: Tensor) -> None:
        """Attention: there are neither scores nor weights where it has a kernel of its own."""
        self.fused.append(weights)
        if (ref := self._alive.get(id(scores))) is not None:
            self.peak = max(ref.before, self._there - ref.size)


class Making(_Mode):  # type: ignore[no-untyped-call]
    """Puts on the meta device whatever tensor is made inside, as ``torch.device("meta")`` does.

    Layers of PyTorch that only fill their weights at their end do not, which is a quarter of the time they take there.
    """

    def __enter__(self) -> Self:
        self._around, _here.making = _here.making, True
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _here.making = self._around

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What `func` gives, there."""
        if func in FILLING:
            return args[0]
        if func is LIFT:
            return torch.empty_strided(args[0].shape, args[0].stride(), dtype=args[0].dtype, device=META)
        kwargs = kwargs or {}
        return outcome(func, args, {**kwargs, "device": META} if "device" in kwargs else kwargs)


class _Here(threading.local):
    """Whether this thread is inside `Making`."""

    making = False


_here = _Here()
RESETS = frozenset(
    layer.reset_parameters
    for layer in (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)  # and their kin
)


def _leave(module: nn.Module, name: str, weight: nn.Parameter) -> None:
    if weight.is_meta and _here.making and getattr(type(module), "reset_parameters", None) in RESETS:
        module.__dict__["reset_parameters"] = _nothing


def _nothing() -> None:
    """There are no numbers to fill in."""


register_module_parameter_registration_hook(_leave)  # once: hooks that come and go would disturb other threads


@cache
def _operations(func: Any) -> Callable[[Sequence[Any], Mapping[str, Any], Any], int] | None:
    """How many operations a call of `func` takes: what PyTorch's formula says."""
    if func in PRODUCTS:
        return _of_product
    if func is aten.convolution.default:
        return _of_convolution
    if (formula := flop_registry.get(func.overloadpacket)) is None:
        return None
    return lambda args, kwargs, out: int(formula(*args, **kwargs, out_val=out))


def _of_product(args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> int:
    """A multiplication and an addition for each number of the output and of the axis that both matrices have."""
    return 2 * out.numel() * int(args[-1].shape[-2])


def _of_convolution(args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> int:
    """A multiplication and an addition for each weight that each place meets."""
    weight: Tensor = args[1]
    places: Tensor = args[0] if args[6] else out
    return 2 * places.numel() * math.prod(weight.shape[1:])
