"""scikit-learn's handwritten digits, which ship with it: no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.space.ports import Port, TaskInfo
from nas.train.task import Array, Arrays, ArrayTask, split

TEST_SEED = 0
TEST_FRACTION = 0.2


def digits() -> ArrayTask:
    """1,797 handwritten digits as images (1, 8, 8) of 17 grey levels; a fifth is the test part, always the same.

    The UCI "Optical Recognition of Handwritten Digits" test set (Alpaydin & Kaynak 1998).
    """
    table = _table()
    whole = Arrays((table[:, :64].reshape(-1, 1, 8, 8).astype(np.uint8),), table[:, 64].astype(np.int64))
    train, test = split(whole, TEST_SEED, TEST_FRACTION)
    # A mirrored digit is no digit, so there is no flip.
    return ArrayTask(TaskInfo("digits", (Port("image", (1, 8, 8)),), 10), train, lambda: test, ("crop",))


def digit_rows() -> ArrayTask:
    """The digits of `digits`, its parts too, as sequences (8, 8): a step a row from the top."""
    images = digits()
    info = TaskInfo("digit_rows", (Port("sequence", (8, 8)),), 10)
    return ArrayTask(info, _rows(images.train_arrays()), lambda: _rows(images.test_arrays()))


def digit_views() -> ArrayTask:
    """The digits of `digits` twice: as images (1, 8, 8) and as sequences (8, 8), for networks of two inputs."""
    images, rows = digits(), digit_rows()
    info = TaskInfo("digit_views", (*images.info.inputs, *rows.info.inputs), 10)
    return ArrayTask(
        info,
        _both(images.train_arrays(), rows.train_arrays()),
        lambda: _both(images.test_arrays(), rows.test_arrays()),
    )


def _both(one: Arrays, other: Arrays) -> Arrays:
    return Arrays((*one.x, *other.x), one.y)


def _rows(images: Arrays) -> Arrays:
    return Arrays((images.x[0][:, 0],), images.y)


def _table() -> Array:
    """(1797, 65): 64 pixels and the label.

    Read from scikit-learn's file when it is where it has always been: importing the package takes every worker 1.2 s.
    """
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations or ()) if package else ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.column_stack([images, labels])
