"""scikit-learn's handwritten digits, which ship with it: no download."""

from __future__ import annotations

import numpy as np

from nas.space.ports import Port, TaskInfo
from nas.train.task import Arrays, ArrayTask, split

TEST_SEED = 0
TEST_FRACTION = 0.2


def digits() -> ArrayTask:
    """1,797 handwritten digits as images (1, 8, 8) of 17 grey levels; a fifth is the test part, always the same.

    The UCI "Optical Recognition of Handwritten Digits" test set (Alpaydin & Kaynak 1998).
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    whole = Arrays((images.reshape(-1, 1, 8, 8).astype(np.uint8),), labels.astype(np.int64))
    train, test = split(whole, TEST_SEED, TEST_FRACTION)
    # A mirrored digit is no digit, so there is no flip.
    return ArrayTask(TaskInfo("digits", (Port("image", (1, 8, 8)),), 10), train, lambda: test, ("crop",))
