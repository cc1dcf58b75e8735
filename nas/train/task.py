"""What candidates are trained on: arrays in memory, their split by the search's seed, names and files. No torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.errors import ConfigError, TaskError, UnknownNameError
from nas.plugin.registry import Entry, Registry, parse_spec
from nas.space.ports import Port, TaskInfo

Array = NDArray[Any]

TARGETS = ("class",)
"""What `nas.train.loop` can learn to answer, of what a `TaskInfo` can ask."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples and their targets.

    x: one array an input of the task, each (N, *port's shape); uint8 or float32, int64 for tokens.
    y: (N,) int64 classes, or float32 values.
    """

    x: tuple[Array, ...]
    y: Array

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Array) -> Arrays:
        """The examples at `index`, in its order."""
        return Arrays(tuple(x[index] for x in self.x), self.y[index])


class Statistics(NamedTuple):
    """Mean and standard deviation of the first input: one number a channel or feature."""

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
    def fingerprint(self) -> str:
        """Equal for equal data; may read all of it, the test part too."""
        ...

    def train_arrays(self) -> Arrays:
        """What a search trains and validates on; raises TaskError."""
        ...

    def test_arrays(self) -> Arrays:
        """What only the winner is judged on, after the search; raises TaskError."""
        ...

    def normalize(self, train: Arrays) -> Statistics | None:
        """What networks subtract from and divide raw inputs by, taken from the part trained on; None: nothing."""
        ...


@dataclass(frozen=True)
class ArrayTask:
    """A task whose arrays are in memory; the test part is read when it is asked for."""

    info: TaskInfo
    train: Arrays
    test: Callable[[], Arrays]
    augment: tuple[str, ...] = ()

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

    def normalize(self, train: Arrays) -> Statistics | None:
        """See `Task`: nothing for tokens, else mean and deviation of each channel or feature."""
        return None if self.info.input.kind == "tokens" else statistics(train.x[0], self.info.input)

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
    channels = [_moments(x.take(c, axis=axis)) for c in range(x.shape[axis])]
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
    entry, options = _resolve(registry, text)
    task: Task = entry.build(**options)
    if task.info.target not in TARGETS:
        raise TaskError(f"task {text!r}: expected a target that can be trained, {TARGETS}, got {task.info.target!r}")
    if check:
        check_task(task)
    return task


def absolute_task(registry: Registry, text: str) -> str:
    """`text` with the file it may name as an absolute path, so that it means the same in every folder."""
    name, colon, rest = text.partition(":")
    registered = name in {entry.name for entry in registry.all("task")}
    return text if registered or not Path(name).is_file() else f"{Path(name).resolve()}{colon}{rest}"


def _resolve(registry: Registry, text: str) -> tuple[Entry, dict[str, Any]]:
    name, options = parse_spec(text)
    entries = registry.all("task")
    if name in {entry.name for entry in entries}:
        entry = registry.get("task", name)
        _need(entry, options)
        return entry, options
    suffixes = {suffix: entry for entry in entries for suffix in entry.details.get("suffixes", ())}
    path = Path(name)
    if found := [suffix for suffix in suffixes if name.lower().endswith(suffix)]:
        if not path.is_file():
            raise TaskError(f"task file {name} does not exist" if not path.exists() else f"task {name} is no file")
        return suffixes[max(found, key=len)], {**options, "path": name}
    if path.suffix or path.exists() or len(path.parts) > 1:
        known = ", ".join(sorted(suffixes)) or "none"
        raise TaskError(f"no task reads files like {name}; known suffixes: {known}; known tasks: {_names(entries)}")
    raise UnknownNameError("task", name, (entry.name for entry in entries))


def _need(entry: Entry, options: Mapping[str, Any]) -> None:
    """Raises ConfigError when an option without a default is not given."""
    for name, default in entry.options().items():
        if default is inspect.Parameter.empty and name not in options:
            suffixes = entry.details.get("suffixes", ())
            instead = f" or a file ending in {' or '.join(suffixes)}" if suffixes else ""
            raise ConfigError(f"task {entry.name!r} needs option {name!r}; give '{entry.name}:{name}=...'{instead}")


def _names(entries: list[Entry]) -> str:
    return ", ".join(entry.name for entry in entries) or "none"


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
    if info.target == "class":
        _check_labels(arrays.y, info.outputs, where)
    else:
        check_finite(arrays.y, f"{where}, targets")


def check_finite(x: Array, where: str) -> None:
    """Raises TaskError when there is NaN or infinity in `x`."""
    if x.dtype.kind == "f" and (bad := x.size - int(np.isfinite(x).sum())):
        first = int(np.argwhere(~np.isfinite(x))[0][0])
        raise TaskError(
            f"{where}: expected finite numbers, got {bad:,} NaN or infinite ones (the first in example {first})"
        )


def _check_labels(y: Array, outputs: int, where: str) -> None:
    if outputs < 2:
        raise TaskError(f"{where}: expected at least 2 classes, got {outputs}")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise TaskError(f"{where}: expected integer labels of shape (N,), got {y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= outputs:
        raise TaskError(f"{where}: expected labels 0..{outputs - 1}, got {y.min()}..{y.max()}")
