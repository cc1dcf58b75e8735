"""Images and labels in one .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from nas.errors import ConfigError, TaskError
from nas.space.ports import Port, TaskInfo
from nas.train.files import array_names, read_arrays
from nas.train.task import Array, Arrays, ArrayTask, check_arrays, check_finite

Channels = Literal["auto", "first", "last"]
NAMES = ("x_train", "y_train", "x_test", "y_test")
COUNTS = (1, 2, 3, 4)
"""Sizes of an axis that is taken for the channels."""


def claims(path: Path) -> bool:
    """Whether the file has images under the names that are read here."""
    return not {"x_train", "x_test"}.isdisjoint(array_names(path))


def npz(*, path: str, channels: Channels = "auto") -> ArrayTask:
    """Images in a file with the arrays x_train, y_train, x_test and y_test.

    x: (N, H, W), (N, C, H, W) or (N, H, W, C); uint8 stays uint8 in memory, floats become float32.
    y: (N,) or (N, 1) integers 0..K-1, each class in y_train.
    channels: which axis of a 4-D array has the channels. ``auto`` takes axis 1 or the last one, whichever alone has
        1 to 4 entries, and refuses to guess otherwise.

    Only random crops by default: whether a mirrored image keeps its class is not known (``augment = ["crop", "flip"]``
    says that it does). Raises TaskError with what was found and what is expected.
    """
    if channels not in ("auto", "first", "last"):
        raise ConfigError(f"option 'channels' of task 'npz': expected auto, first or last, got {channels!r}")
    file = Path(path)
    found = read_arrays(file, NAMES[:2], among=NAMES)
    x = _images(found["x_train"], f"{file}: x_train", channels)
    y = _labels(found["y_train"], f"{file}: y_train")
    train = Arrays((x,), y)
    info = TaskInfo(file.stem, (Port("image", x.shape[1:]),), _classes(y, f"{file}: y_train"))
    check_arrays(train, info, f"{file}: x_train, y_train")
    return ArrayTask(info, train, lambda: _test(file, info, channels), ("crop",))


def _test(file: Path, info: TaskInfo, channels: Channels) -> Arrays:
    found = read_arrays(file, NAMES[2:], among=NAMES)
    x = _images(found["x_test"], f"{file}: x_test", channels)
    test = Arrays((x,), _labels(found["y_test"], f"{file}: y_test"))
    check_arrays(test, info, f"{file}: x_test, y_test")
    return test


def _images(x: Array, where: str, channels: Channels) -> Array:
    """x as (N, C, H, W), uint8 or float32."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim != 4:
        raise TaskError(f"{where}: expected images (N, H, W), (N, C, H, W) or (N, H, W, C), got shape {x.shape}")
    elif _last(x.shape, where, channels):
        x = x.transpose(0, 3, 1, 2)
    if 0 in x.shape:
        raise TaskError(f"{where}: expected at least one image of at least one pixel, got shape {x.shape}")
    return np.ascontiguousarray(_plain(x, where))


def _last(shape: tuple[int, ...], where: str, channels: Channels) -> bool:
    first, last = shape[1] in COUNTS, shape[3] in COUNTS
    if channels == "auto" and first == last:
        raise TaskError(
            f"{where}: expected one of axis 1 and the last axis to have 1 to 4 channels, got shape {shape}; "
            "say which with FILE.npz:channels=first or channels=last"
        )
    return channels == "last" or (channels == "auto" and last)


def _plain(x: Array, where: str) -> Array:
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind == "f":
        check_finite(x, where)
        if x.size and (largest := float(np.abs(x).max())) > float(np.finfo(np.float32).max):
            raise TaskError(f"{where}: expected numbers in float32's range, got {largest:g}")
        return x.astype(np.float32, copy=False)
    if x.dtype.kind in "iub" and int(x.min()) >= 0 and int(x.max()) <= 255:
        return x.astype(np.uint8)
    raise TaskError(f"{where}: expected uint8 or float images, got {x.dtype}{_range(x)}")


def _range(x: Array) -> str:
    return f" from {x.min()} to {x.max()}" if x.dtype.kind in "iu" else ""


def _labels(y: Array, where: str) -> Array:
    """y as (N,) int64."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "iu" or not len(y):
        hint = "; one-hot labels become integers by y.argmax(1)" if y.ndim == 2 else ""
        raise TaskError(f"{where}: expected integer labels of shape (N,), got {y.dtype} of shape {y.shape}{hint}")
    return y.astype(np.int64)


def _classes(y: Array, where: str) -> int:
    """The number of classes K when the labels are 0..K-1 without a gap."""
    seen = np.unique(y)
    if len(seen) < 2:
        raise TaskError(f"{where}: expected at least 2 classes, got one, label {seen[0]}")
    if seen[0] != 0 or seen[-1] != len(seen) - 1:
        raise TaskError(
            f"{where}: expected labels 0..{len(seen) - 1} for its {len(seen)} classes, got {seen[0]}..{seen[-1]}; "
            "number them by numpy.unique(y, return_inverse=True)"
        )
    return len(seen)
