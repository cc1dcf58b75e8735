"""Running a module on the meta device in microseconds an operator, while counting its operations.

PyTorch finds many shapes there by decompositions in Python, which take up to 5 ms for one batch norm or activation. The
rules here say the same at once. Each answers only where it is sure; where it gives None PyTorch is asked, and it is
PyTorch that raises for shapes that do not fit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
META = torch.device("meta")


class _Made(weakref.ref[Tensor]):
    """A tensor that was made, its bytes, and the peak before."""

    __slots__ = ("before", "key", "size")
    before: int
    key: int
    size: int


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
        out = _run(func, args, kwargs)
        if (formula := flop_registry.get(func.overloadpacket)) is not None:
            self.flops += _operations(formula, args, kwargs, out)
        if func is aten._safe_softmax.default:
            self._forget(args[0], out)
        elif not func.is_view:
            for made in (out,) if isinstance(out, Tensor) else out if isinstance(out, tuple) else ():
                if not args or made is not args[0]:
                    self._note(made, func, args)
        return out

    def _note(self, made: Tensor, func: Any, args: Sequence[Any]) -> None:
        ref = _Made(made, self._gone)
        ref.key, ref.size, ref.before = id(made), made.nbytes, self.peak
        first = self._alive.get(id(args[0])) if func in (aten._unsafe_view.default, aten.add.Tensor) else None
        self._alive[ref.key] = ref
        if first is not None:
            ref.before = first.before  # of a product, and of scores to which a mask is added
            if func is aten._unsafe_view.default:  # the same memory, and the product itself is let go of
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


class Making(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Puts on the meta device whatever tensor is made inside, as ``torch.device("meta")`` does."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What `func` gives, there."""
        if func is aten.lift_fresh.default:
            return args[0].to("meta")
        kwargs = kwargs or {}
        return _run(func, args, {**kwargs, "device": META} if "device" in kwargs else kwargs)


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    out = _foretold(func, args, kwargs)
    return func(*args, **kwargs) if out is None else out


def _operations(formula: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> int:
    """What PyTorch's formula says; most are of shapes, wrapped in a search for tensors at any depth."""
    if (plain := getattr(formula, "__wrapped__", None)) is None or isinstance(out, tuple):
        return int(formula(*args, **kwargs, out_val=out))
    return int(plain(*map(_size, args), **{name: _size(value) for name, value in kwargs.items()}, out_shape=out.shape))


def _size(value: Any) -> Any:
    return value.shape if isinstance(value, Tensor) else value


def _foretold(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `func` gives on the meta device, if a rule is sure of it."""
    if (rule := RULES.get(func)) is not None:
        return rule(*args, **kwargs)
    return _pointwise(func, args, kwargs) if torch.Tag.pointwise in func.tags else None


_dtypes: dict[object, torch.dtype] = {}
"""What an operator makes of types of arguments: it was seen when PyTorch did it first."""


def _pointwise(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The shape that all tensors have in common, laid out as the first if that has it."""
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    if kwargs or not all(x.is_meta for x in tensors) or any(isinstance(arg, (list, tuple)) for arg in args):
        return None
    key = (func, *map(_type, args))
    if key not in _dtypes:
        out: Tensor = func(*args)
        _dtypes[key] = out.dtype
        return out
    first, shape = tensors[0], _shape(tensors)
    if torch.Tag.inplace in func.tags:
        return first if shape == first.shape else None
    if shape == first.shape and not first.is_contiguous():
        return torch.empty_like(first, dtype=_dtypes[key])
    if shape is None or not (shape == first.shape or all(x.is_contiguous() for x in tensors)):
        return None
    return torch.empty(shape, dtype=_dtypes[key], device=META)


def _type(arg: Any) -> object:
    if isinstance(arg, Tensor):
        return arg.dtype, arg.dim() == 0
    return type(arg) if isinstance(arg, (int, float)) else arg


def _shape(tensors: Sequence[Tensor]) -> torch.Size | None:
    first = tensors[0].shape
    if all(other.shape == first for other in tensors[1:]):
        return first
    n = max(tensor.dim() for tensor in tensors)
    aligned = zip(*((1,) * (n - tensor.dim()) + tensor.shape for tensor in tensors), strict=True)
    sizes = [{*axis} - {1} or {1} for axis in aligned]
    return torch.Size(size for (size,) in sizes) if all(len(size) == 1 for size in sizes) else None


def _plain(tensor: Tensor) -> bool:
    return tensor.is_meta and tensor.is_contiguous() and tensor.dtype == torch.float32


def _floats(shape: Sequence[int]) -> Tensor:
    return torch.empty(shape, device=META)


def _has(x: Tensor, *axes: int) -> bool:
    return all(-x.dim() <= axis < x.dim() for axis in axes)


def _like(x: Tensor) -> Tensor | None:
    return _floats(x.shape) if _plain(x) else None


def _along(x: Tensor, axis: int, *_: object) -> Tensor | None:
    return _floats(x.shape) if _plain(x) and _has(x, axis) else None


def _triangle(x: Tensor, *_: object) -> Tensor | None:
    fits = x.is_meta and x.is_contiguous() and x.dim() > 1
    return torch.empty(x.shape, dtype=x.dtype, device=META) if fits else None


def _rolled(x: Tensor, _: object, axes: Sequence[int] = ()) -> Tensor | None:
    """In order whatever the order was, unless channels come last."""
    fits = x.is_meta and x.dtype == torch.float32 and len(axes) == 1 and _has(x, *axes) and 1 not in x.stride()[:-1]
    return _floats(x.shape) if fits else None


def _cat(parts: Sequence[Tensor], axis: int = 0) -> Tensor | None:
    n = parts[0].dim()
    if not all(_plain(part) and part.dim() == n for part in parts) or not _has(parts[0], axis):
        return None
    sizes = [sorted({part.shape[i] for part in parts}) for i in range(n)]
    sizes[axis] = [sum(part.shape[axis] for part in parts)]
    return _floats([size for (size,) in sizes]) if max(map(len, sizes)) == 1 else None


def _itself(x: Tensor, *_: object, **__: object) -> Tensor | None:
    return x if x.is_meta else None


def _log_sigmoid(x: Tensor) -> tuple[Tensor, ...] | None:
    return (_floats(x.shape), _floats((0,))) if _plain(x) else None


def _addmm(bias: Tensor, one: Tensor, other: Tensor, **_: object) -> Tensor | None:
    given = (bias, one, other)
    if [x.dim() for x in given] != [1, 2, 2] or not all(x.is_meta and x.dtype == torch.float32 for x in given):
        return None
    fits = one.shape[1] == other.shape[0] and bias.shape[0] == other.shape[1]
    return _floats((one.shape[0], other.shape[1])) if fits else None


def _batch_norm(x: Tensor, *args: Any) -> tuple[Tensor, ...] | None:
    """The output, and the mean and deviation of a training step; none are used in evaluation."""
    return (_floats(x.shape), _floats((0,)), _floats((0,))) if _plain(x) and not args[4] else None


def _layer_norm(x: Tensor, shape: Sequence[int], *args: Any) -> tuple[Tensor, ...] | None:
    first = x.dim() - len(shape)
    fits = all(list(given.shape) == list(shape) for given in args[:2] if given is not None)
    if not _plain(x) or first < 0 or list(x.shape[first:]) != list(shape) or not fits:
        return None
    numbers = _floats((*x.shape[:first], *[1] * len(shape)))
    return _floats(x.shape), numbers, numbers


def _convolution(x: Tensor, weight: Tensor, *args: Any) -> Tensor | None:
    _, stride, padding, dilation, transposed, _, groups = args
    taken = (x.shape[0], weight.shape[1] * groups)
    if transposed or x.dim() != weight.dim() or x.shape[:2] != taken or not (_plain(x) and _plain(weight)):
        return None
    n = x.dim() - 2
    each = (
        x.shape[2:],
        weight.shape[2:],
        *(given * n if len(given) == 1 else given for given in (stride, padding, dilation)),
    )
    sizes = [(size + 2 * pad - hop * (k - 1) - 1) // step + 1 for size, k, step, pad, hop in zip(*each, strict=True)]
    return _floats((x.shape[0], weight.shape[0], *sizes)) if min(sizes) > 0 else None


def _reduced(x: Tensor, axes: Sequence[int] | None, keepdim: bool = False, **kwargs: object) -> Tensor | None:
    if not _plain(x) or kwargs or not axes or not _has(x, *axes):
        return None
    gone = {axis % x.dim() for axis in axes}
    sizes = enumerate(x.shape)
    return _floats([1 if i in gone else size for i, size in sizes if keepdim or i not in gone])


RULES: dict[Any, Callable[..., Any]] = {
    aten.addmm.default: _addmm,
    aten.cat.default: _cat,
    aten.convolution.default: _convolution,
    aten.log_sigmoid_forward.default: _log_sigmoid,
    aten.mean.dim: _reduced,
    aten.sum.dim_IntList: _reduced,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.hardswish.default: _like,
    aten.roll.default: _rolled,
    aten.tril.default: _triangle,
    **{op.default: _along for op in (aten._softmax, aten._safe_softmax, aten.cumsum, aten.logcumsumexp)},
    **dict.fromkeys((aten.uniform_.default, aten.normal_.default, aten.zero_.default, aten.fill_.Scalar), _itself),
}
