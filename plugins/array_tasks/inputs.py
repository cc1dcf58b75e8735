"""Several inputs for one answer, in one .npz file: an image and a text, say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.errors import ConfigError, TaskError
from nas.space.ports import KINDS, Kind, Port, TaskInfo
from nas.train.files import array_names, read_arrays
from nas.train.task import Array, Arrays, ArrayTask, check_arrays

FIRST, LAST = "x_train_", "x_test_"
AXES: dict[int, Kind] = {2: "vector", 3: "sequence", 4: "image"}
"""Number of axes, that of examples included -> kind of an array that holds no tokens."""


def claims(path: Path) -> bool:
    """Whether the file has an array for an input with a name."""
    return any(name.startswith((FIRST, LAST)) for name in array_names(path))


def inputs(*, path: str, kinds: str = "", padding: int = -1) -> ArrayTask:
    """Several inputs in a file with x_train_NAME and x_test_NAME for each, y_train and y_test.

    An input of 4 axes is an image (N, C, H, W), of 3 a sequence (N, L, D), of 2 a vector (N, D), or tokens (N, L) when
    it holds int64; `kinds` says otherwise, as ``image/tokens``. Inputs come in the order of the file.
    padding: the token that fills up shorter texts, always after them; -1: none does.
    y: integers 0..K-1 are classes, floats (N,) or (N, K) are values.

    Raises ConfigError or TaskError.
    """
    names = [name.removeprefix(FIRST) for name in array_names(path) if name.startswith(FIRST)]
    every = [f"{part}{name}" for part in (FIRST, LAST) for name in names or ["NAME"]] + ["y_train", "y_test"]
    found = read_arrays(path, [n for n in every if "test" not in n], among=every)
    x = tuple(_plain(found[f"{FIRST}{name}"], f"{path}: {FIRST}{name}") for name in names)
    said = kinds.split("/") if kinds else [""] * len(x)
    if len(said) != len(x):
        raise ConfigError(f"option 'kinds' of task 'inputs': expected {len(x)} kinds for {names}, got {kinds!r}")
    ports = tuple(_port(a, kind, f"{path}: {FIRST}{name}") for a, kind, name in zip(x, said, names, strict=True))
    tokens = [a for a, port in zip(x, ports, strict=True) if port.kind == "tokens"]
    y, outputs = _answers(found["y_train"], f"{path}: y_train")
    info = TaskInfo(
        Path(path).stem,
        ports,
        outputs,
        "value" if y.dtype == np.float32 else "class",
        vocabulary=max((max(1, int(a.max()) + 1) for a in tokens), default=0),
        padding=padding if padding >= 0 else None,
    )
    train = Arrays(x, y)
    check_arrays(train, info, f"{path}: training part")
    return ArrayTask(info, train, lambda: _test(path, names, info))


def _test(path: str, names: list[str], info: TaskInfo) -> Arrays:
    found: Mapping[str, Array] = read_arrays(path, [*(f"{LAST}{name}" for name in names), "y_test"])
    x = tuple(_plain(found[f"{LAST}{name}"], f"{path}: {LAST}{name}") for name in names)
    y = found["y_test"]
    test = Arrays(x, y.astype(np.int64 if info.target == "class" and y.dtype.kind in "iu" else np.float32))
    check_arrays(test, info, f"{path}: test part")
    return test


def _plain(x: Array, where: str) -> Array:
    """x as uint8, int16, int64 or float32."""
    if x.dtype.kind not in "fiub":
        raise TaskError(f"{where}: expected numbers, got {x.dtype}")
    if x.dtype.kind == "f":
        return x.astype(np.float32)
    return x if x.dtype in (np.uint8, np.int16) else x.astype(np.int64)


def _port(x: Array, kind: str, where: str) -> Port:
    guessed: Kind = "tokens" if x.ndim == 2 and x.dtype == np.int64 else AXES.get(x.ndim, "vector")
    wanted = kind or guessed
    if wanted not in KINDS or x.ndim != 1 + len(KINDS[wanted]) or 0 in x.shape:
        raise TaskError(
            f"{where}: expected a vector (N, D), tokens (N, L), sequence (N, L, D) or image (N, C, H, W), "
            f"got {x.dtype} of shape {x.shape}{f' as {kind}' if kind else ''}"
        )
    return Port(wanted, x.shape[1:])  # type: ignore[arg-type]


def _answers(y: Array, where: str) -> tuple[Array, int]:
    if y.dtype.kind == "f" and y.ndim in (1, 2):
        return y.astype(np.float32), 1 if y.ndim == 1 else y.shape[1]
    if y.ndim != 1 or y.dtype.kind not in "iu" or not len(y):
        raise TaskError(f"{where}: expected integer classes (N,) or floats (N,) or (N, K), got {y.dtype} of {y.shape}")
    seen = np.unique(y)
    if len(seen) < 2 or seen[0] != 0 or seen[-1] != len(seen) - 1:
        raise TaskError(f"{where}: expected classes 0..K-1, at least 2, got {len(seen)}, {seen[0]}..{seen[-1]}")
    return y.astype(np.int64), len(seen)
