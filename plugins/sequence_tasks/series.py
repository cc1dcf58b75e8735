"""Time series as the UCR and UEA archives have them (Dau et al. 2019; Bagnall et al. 2018), in one .npz file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.space.ports import Port, TaskInfo
from nas.train.files import array_names, numbered, parted, read_arrays
from nas.train.task import Array, Arrays, ArrayTask, check_finite

NAMES = ("X", "y", "is_train")


def claims(path: Path) -> bool:
    """Whether the file has X and y."""
    return {"X", "y"} <= set(array_names(path))


def series(*, path: str) -> ArrayTask:
    """Time series in a file with the arrays X (n, channels, T), y (n,), is_train (n,) and, perhaps, length (n,).

    A network gets sequences (L, D) = (T, channels). What is shorter than T ends with them and has zeros before it, so
    that what reads the last step reads the series; without `length` a series ends where only NaN follows. Labels may be
    numbers or words; is_train is the official split.
    Raises TaskError with what was found and what is expected.
    """
    file = Path(path)
    more = [name for name in ("length",) if name in array_names(file)]
    found = read_arrays(file, [*NAMES, *more])
    x = _sequences(found["X"], found.get("length"), f"{file}: X")
    y, classes = numbered(_column(found["y"], len(x), f"{file}: y"), f"{file}: y")
    is_train = _column(found["is_train"], len(x), f"{file}: is_train").astype(bool)
    _check_parts(y, is_train, classes, str(file))
    train, test = parted(Arrays((x,), y), ~is_train)
    info = TaskInfo(file.stem, (Port("sequence", x.shape[1:]),), len(classes))
    return ArrayTask(info, train, lambda: test, facts={"classes": classes})


def _sequences(x: Array, length: Array | None, where: str) -> Array:
    """x (n, channels, T) as (n, T, channels) float32, each series at the end with zeros before it."""
    if x.ndim != 3 or x.dtype.kind not in "fiu" or 0 in x.shape:
        raise TaskError(f"{where}: expected numbers (n, channels, T), got {x.dtype} of shape {x.shape}")
    x = np.ascontiguousarray(x.transpose(0, 2, 1), dtype=np.float32)
    if length is None:
        there: Array = np.asarray(np.isfinite(x).any(axis=2))
        length = np.where(there.any(axis=1), x.shape[1] - there[:, ::-1].argmax(axis=1), 0)
    elif length.shape != (len(x),) or length.min() < 1 or length.max() > x.shape[1]:
        raise TaskError(f"{where}: expected a length from 1 to {x.shape[1]} for each of {len(x)} series, got {length}")
    source = np.arange(x.shape[1]) - (x.shape[1] - length[:, None])
    x = np.take_along_axis(x, np.maximum(source, 0)[:, :, None], axis=1)
    x[source < 0] = 0
    check_finite(x, where)
    return x


def _column(values: Array, examples: int, where: str) -> Array:
    if values.shape != (examples,):
        raise TaskError(f"{where}: expected one entry for each of {examples} series, got shape {values.shape}")
    return values


def _check_parts(y: Array, is_train: Array, classes: list[str], where: str) -> None:
    if is_train.all() or not is_train.any():
        raise TaskError(f"{where}: is_train: expected series of both parts, got {is_train.sum()} of {len(y)}")
    if missing := set(range(len(classes))) - set(y[is_train].tolist()):
        raise TaskError(f"{where}: expected every class to train on, got none of class {classes[min(missing)]}")
