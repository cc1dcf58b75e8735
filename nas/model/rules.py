"""What operators give on the meta device, said in microseconds.

PyTorch finds many shapes there by decompositions in Python, which take up to 5 ms for one batch norm or activation. The
rules here say the same at once. Each answers only where it is sure; where it gives None PyTorch is asked, and it is
PyTorch that raises for shapes that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
META = torch.device("meta")


def outcome(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `func` gives on the meta device."""
    out = None if (rule := _rule(func)) is None else rule(*args, **kwargs)
    return func(*args, **kwargs) if out is None else out


@cache
def _rule(func: Any) -> Callable[..., Any] | None:
    if torch.Tag.pointwise in func.tags and func not in RULES:
        return partial(_pointwise, func, torch.Tag.inplace in func.tags)
    return RULES.get(func)


_dtypes: dict[object, torch.dtype] = {}
"""What an operator makes of types of arguments: it was seen when PyTorch did it first."""


def _pointwise(func: Any, inplace: bool, *args: Any, **kwargs: Any) -> Tensor | None:
    """The shape that all tensors have in common, laid out as the first if that has it."""
    if kwargs:
        return None
    tensors: list[Tensor] = []
    key: list[object] = [func]
    for arg in args:
        if isinstance(arg, Tensor):
            if not arg.is_meta:
                return None
            tensors.append(arg)
            key += (arg.dtype, arg.dim() == 0)
        elif isinstance(arg, (list, tuple)):
            return None
        else:
            key.append(type(arg) if isinstance(arg, (int, float)) else arg)
    if (dtype := _dtypes.get(met := tuple(key))) is None:
        out: Tensor = func(*args)
        _dtypes[met] = out.dtype
        return out
    first = tensors[0]
    shape: torch.Size | None = first.shape
    if len(tensors) > 1:
        shape = _shape(tensors)
    if inplace:
        return first if shape == first.shape else None
    if shape == first.shape and not first.is_contiguous():
        return _laid_out(first, dtype)
    if shape is None or not (shape == first.shape or all(x.is_contiguous() for x in tensors)):
        return None
    return torch.empty(shape, dtype=dtype, device=META)


def _laid_out(x: Tensor, dtype: torch.dtype) -> Tensor:
    """As `x`, which is in no order: without gaps, and with its axes as far inside, where that is plain to see."""
    strides, step, last = [0] * x.dim(), 1, 0
    for stride, axis, size in sorted(zip(x.stride(), range(x.dim()), x.shape, strict=True)):
        if stride == last or size == 1:
            return torch.empty_like(x, dtype=dtype)
        strides[axis], last = step, stride
        step *= size
    return torch.empty_strided(x.shape, strides, dtype=dtype, device=META)


def _shape(tensors: Sequence[Tensor]) -> torch.Size | None:
    first = tensors[0].shape
    if all(other.shape == first for other in tensors[1:]):
        return first
    n = max(tensor.dim() for tensor in tensors)
    aligned = zip(*((1,) * (n - tensor.dim()) + tensor.shape for tensor in tensors), strict=True)
    sizes = [{*axis} - {1} or {1} for axis in aligned]
    return torch.Size(size for (size,) in sizes) if all(len(size) == 1 for size in sizes) else None


def _plain(tensor: Tensor) -> bool:
    return tensor.is_meta and tensor.dtype == torch.float32 and tensor.is_contiguous()


def _floating(*tensors: Tensor) -> bool:
    return all(x.is_meta and x.dtype == torch.float32 for x in tensors)


def _channels_first(x: Tensor) -> bool:
    """Whether what is made of `x` is in order: only where channels are innermost does PyTorch keep them there."""
    return x.is_contiguous() or x.dim() < 4 or x.stride(-1) < x.stride(1)


def _floats(shape: Sequence[int]) -> Tensor:
    return torch.empty(shape, device=META)


def _has(x: Tensor, *axes: int) -> bool:
    return all(-x.dim() <= axis < x.dim() for axis in axes)


def _new(
    shape: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: torch.device | None = None,
    pin_memory: bool | None = None,
    memory_format: torch.memory_format | None = None,
) -> Tensor | None:
    strided = layout is None or layout == torch.strided
    if (device is not META and device != META) or not strided or pin_memory or memory_format is not None:
        return None
    return torch.empty(shape, dtype=dtype, device=META)


def _scalar(_: object, *, dtype: torch.dtype | None = None, **kwargs: Any) -> Tensor | None:
    return None if dtype is None else _new((), dtype=dtype, **kwargs)


def _arange(*ends: Any, dtype: torch.dtype | None = None, **kwargs: Any) -> Tensor | None:
    """Of integers, upwards."""
    start, end, step = (0, *ends, 1) if len(ends) == 1 else (*ends, 1)[:3]
    if not all(type(n) is int for n in (start, end, step)) or step < 1 or end < start:
        return None
    return _new((-(-(end - start) // step),), dtype=dtype or torch.int64, **kwargs)


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
    first = parts[0]
    n = first.dim()
    if not _has(first, axis):
        return None
    sizes = list(first.shape)
    axis %= n
    for part in parts[1:]:
        others = list(part.shape)
        if len(others) != n or sizes[:axis] != others[:axis] or sizes[axis + 1 :] != others[axis + 1 :]:
            return None
        sizes[axis] += others[axis]
    return _floats(sizes) if all(_floating(part) and _channels_first(part) for part in parts) else None


def _itself(x: Tensor, *_: object, **__: object) -> Tensor | None:
    return x if x.is_meta else None


def _log_sigmoid(x: Tensor) -> tuple[Tensor, ...] | None:
    return (_floats(x.shape), _floats((0,))) if _plain(x) else None


def _addmm(bias: Tensor, one: Tensor, other: Tensor, **_: object) -> Tensor | None:
    if not _floating(bias, one, other) or (bias.dim(), one.dim(), other.dim()) != (1, 2, 2):
        return None
    (rows, inner), (taken, columns) = one.shape, other.shape
    return _floats((rows, columns)) if inner == taken and bias.shape[0] == columns else None


def _product(one: Tensor, other: Tensor) -> Tensor | None:
    """Of matrices, or of as many of them."""
    n = one.dim()
    if not _floating(one, other) or other.dim() != n or one.shape[:-2] != other.shape[:-2]:
        return None
    if one.shape[-1] != other.shape[-2]:
        return None
    return _floats((*one.shape[:-1], other.shape[-1]))


NOTHING = _floats((0,))


def _batch_norm(x: Tensor, *args: Any) -> tuple[Tensor, ...] | None:
    """The output, and the mean and deviation of a training step; none are used in evaluation."""
    return (_floats(x.shape), NOTHING, NOTHING) if _plain(x) and not args[4] else None


def _layer_norm(x: Tensor, shape: Sequence[int], *args: Any) -> tuple[Tensor, ...] | None:
    first = x.dim() - len(shape)
    fits = all(list(given.shape) == list(shape) for given in args[:2] if given is not None)
    if not _plain(x) or first < 0 or list(x.shape[first:]) != list(shape) or not fits:
        return None
    numbers = _floats((*x.shape[:first], *[1] * len(shape)))
    return _floats(x.shape), numbers, numbers


def _convolution(x: Tensor, weight: Tensor, *args: Any) -> Tensor | None:
    _, stride, padding, dilation, transposed, _, groups = args
    shape, kernel = x.shape, weight.shape
    if transposed or len(shape) != len(kernel) or shape[1] != kernel[1] * groups:
        return None
    if not (_floating(x) and _channels_first(x) and _plain(weight)):
        return None
    sizes = _windows(shape[2:], kernel[2:], stride, padding, dilation)
    return _floats((shape[0], kernel[0], *sizes)) if min(sizes) > 0 else None


def _windows(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """How many windows there are along each axis; a number for all axes may be given once."""
    n = len(sizes)
    each = zip(
        sizes,
        kernel,
        stride if len(stride) == n else [*stride] * n,
        padding if len(padding) == n else [*padding] * n,
        dilation if len(dilation) == n else [*dilation] * n,
        strict=True,
    )
    return [(size + 2 * pad - hop * (k - 1) - 1) // step + 1 for size, k, step, pad, hop in each]


def _max_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil: bool = False,
) -> tuple[Tensor, ...] | None:
    """The output, and where each number of it was."""
    shape = None if ceil else _pooled(x, kernel, stride, padding, dilation)
    return None if shape is None else (_floats(shape), torch.empty(shape, dtype=torch.int64, device=META))


def _average_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil: bool = False,
    *_: object,
) -> Tensor | None:
    shape = None if ceil else _pooled(x, kernel, stride, padding, (1,))
    return None if shape is None else _floats(shape)


def _pooled(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> list[int] | None:
    if not _plain(x) or x.dim() != 4 or len(kernel) != 2 or 2 * max(padding) > min(kernel):
        return None
    sizes = _windows(x.shape[2:], kernel, stride or kernel, padding, dilation)
    return [*x.shape[:2], *sizes] if min(sizes) > 0 else None


def _reduced(x: Tensor, axes: Sequence[int] | None, keepdim: bool = False, **kwargs: object) -> Tensor | None:
    if not _plain(x) or kwargs or not axes or not _has(x, *axes):
        return None
    gone = {axis % x.dim() for axis in axes}
    sizes = enumerate(x.shape)
    return _floats([1 if i in gone else size for i, size in sizes if keepdim or i not in gone])


def _padded(x: Tensor, pads: Sequence[int], *_: object) -> Tensor | None:
    if not _plain(x) or len(pads) > 2 * x.dim() or len(pads) % 2 or min(pads, default=0) < 0:
        return None
    sizes = list(x.shape)
    for i in range(len(pads) // 2):
        sizes[-1 - i] += pads[2 * i] + pads[2 * i + 1]
    return _floats(sizes)


def _copied(x: Tensor, *, memory_format: torch.memory_format | None = None) -> Tensor | None:
    same = memory_format in (None, torch.preserve_format)
    if not x.is_meta or not (same or memory_format == torch.contiguous_format):
        return None
    if same and not x.is_contiguous():
        return _laid_out(x, x.dtype)
    return torch.empty(x.shape, dtype=x.dtype, device=META)


RULES: dict[Any, Callable[..., Any]] = {
    aten.addmm.default: _addmm,
    aten.arange.default: _arange,
    aten.arange.start: _arange,
    aten.arange.start_step: _arange,
    aten.avg_pool2d.default: _average_pool,
    aten.bmm.default: _product,
    aten.cat.default: _cat,
    aten.clone.default: _copied,
    aten.constant_pad_nd.default: _padded,
    aten.convolution.default: _convolution,
    aten.log_sigmoid_forward.default: _log_sigmoid,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.mean.dim: _reduced,
    aten.mm.default: _product,
    aten.sum.dim_IntList: _reduced,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.hardswish.default: _like,
    aten.roll.default: _rolled,
    aten.scalar_tensor.default: _scalar,
    aten.tril.default: _triangle,
    **{op.default: _along for op in (aten._softmax, aten._safe_softmax, aten.cumsum, aten.logcumsumexp)},
    **dict.fromkeys((aten.empty.memory_format, aten.zeros.default, aten.ones.default), _new),
    **dict.fromkeys((aten.uniform_.default, aten.normal_.default, aten.zero_.default, aten.fill_.Scalar), _itself),
    **{
        op: getattr(Tensor, name)  # the same by a shorter way
        for op, name in (
            (aten.expand.default, "expand"),
            (aten.t.default, "t"),
            (aten.transpose.int, "transpose"),
            (aten.view.default, "view"),
            (aten._unsafe_view.default, "view"),
        )
    },
}
