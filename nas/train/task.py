"""What candidates are trained on: arrays in memory, their split by the search's seed, names and files. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.errors import TaskError
from nas.plugin.registry import Registry
from nas.space.ports import Port, TaskInfo
from nas.train.resolve import find_task

if TYPE_CHECKING:
    from torch import Generator, Tensor

Array = NDArray[Any]
Redraw = Callable[["Tensor", "Tensor", "Generator"], tuple["Tensor", "Tensor"]]

OBJECTIVES = {"class": "val_accuracy", "value": "val_r2", "token": "val_loss"}
"""What `nas.train` can learn to answer, of what a `TaskInfo` can ask, and the objective of a search that names none."""

IGNORE = -100
"""A target that is no token: at padding, and at tokens that a network is not asked for."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples and their targets.

    x: one array an input of the task, each (N, *port's shape); uint8, int16 or float32, int64 for tokens.
    y: (N,) int64 classes; (N,) or (N, K) float32 values; (N, L) int64 tokens, `IGNORE` where none is asked for.
    """

    x: tuple[Array, ...]
    y: Array

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Array) -> Arrays:
        """The examples at `index`, in its order."""
        return Arrays(tuple(x[index] for x in self.x), self.y[index])


class Statistics(NamedTuple):
    """Mean and standard deviation of an input or of values: one number a channel, feature or value."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Task(Protocol):
    """A data set with a question. `ArrayTask` is one; a plugin may bring its own class."""

    @property
    def info(self) -> TaskInfo:
        """Shapes that come in, and what is asked."""
        ...

    @property
    def augment(self) -> tuple[str, ...]:
        """Names of the augmentations that keep the class of an example."""
        ...

    @property
    def redraw(self) -> Redraw | None:
        """What each batch that is trained on goes through, so that an epoch asks for other things than the one before.

        It is given the first input, the targets and a generator on the CPU, and gives both as they are to be trained
        on; None changes nothing. What is validated and tested on stays as it came.
        """
        ...

    @property
    def objective(self) -> str:
        """The objective of a search that names none; empty for the usual one of its target."""
        ...

    @property
    def characters(self) -> tuple[int, ...]:
        """How many characters each token of a text stands for; empty where bits per character make no sense."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a user of a trained network must know, as JSON: ``classes`` by name, ``tokens`` by number."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for equal data; may read all of it, the test part too."""
        ...

    def train_arrays(self) -> Arrays:
        """What a search trains and validates on; raises TaskError."""
        ...

    def test_arrays(self) -> Arrays:
        """What only the winner is judged on, after the search; raises TaskError."""
        ...

    def normalize(self, train: Arrays) -> tuple[Statistics | None, ...]:
        """What networks subtract from and divide each raw input by, from the part trained on; None: nothing."""
        ...


@dataclass(frozen=True)
class ArrayTask:
    """A task whose arrays are in memory; the test part is read when it is asked for."""

    info: TaskInfo
    train: Arrays
    test: Callable[[], Arrays]
    augment: tuple[str, ...] = ()
    redraw: Redraw | None = None
    objective: str = ""
    characters: tuple[int, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of all arrays, their types and shapes."""
        return fingerprint(self.train, self.test_arrays())

    def train_arrays(self) -> Arrays:
        """See `Task`."""
        return self.train

    def test_arrays(self) -> Arrays:
        """See `Task`."""
        return self._test

    def normalize(self, train: Arrays) -> tuple[Statistics | None, ...]:
        """See `Task`: nothing for tokens, else mean and deviation of each channel or feature."""
        pairs = zip(train.x, self.info.inputs, strict=True)
        return tuple(None if port.kind == "tokens" else statistics(x, port) for x, port in pairs)

    @cached_property
    def _test(self) -> Arrays:
        return self.test()


def split(arrays: Arrays, seed: int, fraction: float) -> tuple[Arrays, Arrays]:
    """Two parts of `arrays`, the second with `fraction` of them, both with every class in its proportion.

    The same for the same seed. A class with one example stays in the first part; examples keep their order. Raises
    TaskError when either part would be empty.
    """
    total = len(arrays)
    wanted = min(max(round(total * fraction), 1), total - 1)
    rng = np.random.default_rng([seed, total])
    order = rng.permutation(total)
    strata = _strata(arrays.y[order])
    sizes = np.array([len(stratum) for stratum in strata])
    counts = _shares(sizes, wanted, fraction)
    picked = [stratum[:count] for stratum, count in zip(strata, counts, strict=True)]
    held = np.zeros(total, dtype=bool)
    held[order[np.concatenate(picked)]] = True
    if total < 2 or not held.any():
        raise TaskError(
            f"expected examples enough to hold a part of {fraction:g} out for validation, got {total} "
            f"in {len(strata)} classes; give at least two examples of some class"
        )
    return arrays.take(np.flatnonzero(~held)), arrays.take(np.flatnonzero(held))


def _strata(y: Array) -> list[Array]:
    if y.ndim != 1 or y.dtype.kind == "f":
        return [np.arange(len(y))]
    return [np.flatnonzero(y == label) for label in np.unique(y)]


def _shares(sizes: Array, wanted: int, fraction: float) -> Array:
    """How many of each class are held out: shares rounded down, then the largest remainders, never a whole class."""
    exact = sizes * fraction
    counts: Array = np.minimum(np.floor(exact), sizes - 1).astype(int)
    while counts.sum() < wanted and (room := counts < sizes - 1).any():
        counts[np.argmax(np.where(room, exact - counts, -np.inf))] += 1
    return counts


def statistics(x: Array, port: Port) -> Statistics:
    """Mean and standard deviation of x (N, *port's shape), per channel or feature; a constant one has deviation 1."""
    axis = 1 if port.kind == "image" else x.ndim - 1
    return _statistics([x.take(c, axis=axis) for c in range(x.shape[axis])])


def value_statistics(y: Array) -> Statistics:
    """Mean and standard deviation of targets (N,) or (N, K), per value; a constant one has deviation 1."""
    return _statistics(list(y.reshape(len(y), -1).T))


def _statistics(columns: list[Array]) -> Statistics:
    channels = [_moments(column) for column in columns]
    return Statistics(tuple(m for m, _ in channels), tuple(s if s > 1e-8 else 1.0 for _, s in channels))


def _moments(x: Array) -> tuple[float, float]:
    if x.dtype == np.uint8:  # exact, and no copy of the data as floats
        counts = np.bincount(x.ravel(), minlength=256)
        mean = float(counts @ np.arange(256) / x.size)
        return mean, float(np.sqrt(counts @ (np.arange(256) - mean) ** 2 / x.size))
    return float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))


def fingerprint(*parts: Arrays) -> str:
    """32 hexadecimal digits, equal for equal arrays."""
    digest = blake2b(digest_size=16)
    for array in (array for part in parts for array in (*part.x, part.y)):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def open_task(registry: Registry, text: str, *, check: bool = True) -> Task:
    """The task that a user means by ``digits``, ``name:option=value`` or a file such as ``mydata.npz``.

    With `check`, all of its data, the test part too, is read and looked at; workers of a search leave that out.
    Raises UnknownNameError, ConfigError or TaskError.
    """
    entry, options = find_task(registry, text)
    task: Task = entry.build(**options)
    if task.info.target not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise TaskError(f"task {text!r}: expected a target that can be trained, {known}, got {task.info.target!r}")
    if check:
        check_task(task)
    return task


def usual_objective(task: Task) -> str:
    """The objective of a search that names none."""
    return task.objective or OBJECTIVES[task.info.target]


def check_task(task: Task) -> None:
    """Raises TaskError when the arrays, train or test, are not what `task.info` says."""
    check_arrays(task.train_arrays(), task.info, "training part")
    check_arrays(task.test_arrays(), task.info, "test part")


def check_arrays(arrays: Arrays, info: TaskInfo, where: str) -> None:
    """Raises TaskError when `arrays` are not what `info` says: shapes, lengths, finite numbers, labels."""
    if len(arrays.x) != len(info.inputs):
        raise TaskError(f"{where}: expected {len(info.inputs)} input arrays, got {len(arrays.x)}")
    for x, port in zip(arrays.x, info.inputs, strict=True):
        if x.shape[1:] != port.shape:
            raise TaskError(f"{where}: expected {port} each, got arrays of shape {x.shape[1:]}")
        if len(x) != len(arrays.y):
            raise TaskError(f"{where}: expected one label an example, got {len(x)} examples and {len(arrays.y)} labels")
        check_finite(x, where)
    if not len(arrays):
        raise TaskError(f"{where}: expected at least one example, got none")
    _check_tokens(arrays, info, where)
    {"class": _check_labels, "value": _check_values, "token": _check_asked}[info.target](arrays.y, info, where)


def check_finite(x: Array, where: str) -> None:
    """Raises TaskError when there is NaN or infinity in `x`."""
    if x.dtype.kind == "f" and (bad := x.size - int(np.isfinite(x).sum())):
        first = int(np.argwhere(~np.isfinite(x))[0][0])
        raise TaskError(
            f"{where}: expected finite numbers, got {bad:,} NaN or infinite ones (the first in example {first})"
        )


def _check_tokens(arrays: Arrays, info: TaskInfo, where: str) -> None:
    for x, port in zip(arrays.x, info.inputs, strict=True):
        if port.kind != "tokens":
            continue
        if x.dtype != np.int64:
            raise TaskError(f"{where}: expected tokens as int64, got {x.dtype}")
        if x.min() < 0 or x.max() >= info.vocabulary:
            raise TaskError(f"{where}: expected tokens 0..{info.vocabulary - 1}, got {x.min()}..{x.max()}")
        padding = x == info.padding if info.padding is not None else np.zeros_like(x, dtype=bool)
        if (inside := (padding[:, :-1] & ~padding[:, 1:]).any(axis=1)).any():
            raise TaskError(
                f"{where}: expected padding, token {info.padding}, only after a text, "
                f"got it before the end of example {int(np.argmax(inside))}"
            )


def _check_labels(y: Array, info: TaskInfo, where: str) -> None:
    if info.outputs < 2:
        raise TaskError(f"{where}: expected at least 2 classes, got {info.outputs}")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise TaskError(f"{where}: expected integer labels of shape (N,), got {y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= info.outputs:
        raise TaskError(f"{where}: expected labels 0..{info.outputs - 1}, got {y.min()}..{y.max()}")


def _check_values(y: Array, info: TaskInfo, where: str) -> None:
    if y.dtype != np.float32 or y.shape not in ((len(y), info.outputs), (len(y),) * (info.outputs == 1)):
        raise TaskError(f"{where}: expected float32 values (N, {info.outputs}), got {y.dtype} of shape {y.shape}")
    check_finite(y, f"{where}, values")


def _check_asked(y: Array, info: TaskInfo, where: str) -> None:
    """At least one token is asked for in every example, else a batch might have no loss."""
    length = info.output.shape[0]
    if y.dtype != np.int64 or y.shape[1:] != (length,):
        raise TaskError(f"{where}: expected int64 tokens (N, {length}), got {y.dtype} of shape {y.shape}")
    asked = y != IGNORE
    if not asked.any(axis=1).all():
        raise TaskError(f"{where}: expected a token to tell in every example, got none in {np.argmin(asked.any(1))}")
    if (wrong := y[asked]).min() < 0 or wrong.max() >= info.outputs:
        raise TaskError(f"{where}: expected tokens 0..{info.outputs - 1}, got {wrong.min()}..{wrong.max()}")
