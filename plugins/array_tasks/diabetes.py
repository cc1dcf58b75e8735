"""scikit-learn's diabetes patients, which ship with it: no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.space.ports import Port, TaskInfo
from nas.train.task import Array, Arrays, ArrayTask

TEST_SEED = 0
TEST_EXAMPLES = 88


def diabetes() -> ArrayTask:
    """442 patients with ten measures, and how far their diabetes is a year on; the test part has 88, always the same.

    Age, sex, body mass index, blood pressure and six blood serum measures, in their own units (Efron et al. 2004,
    Least angle regression). The value goes from 25 to 346.
    """
    x, y = _tables()
    whole = Arrays((x.astype(np.float32),), y.astype(np.float32))
    order = np.random.default_rng(TEST_SEED).permutation(len(whole))
    test, train = (whole.take(np.sort(part)) for part in np.split(order, [TEST_EXAMPLES]))
    return ArrayTask(TaskInfo("diabetes", (Port("vector", (10,)),), 1, "value"), train, lambda: test)


def _tables() -> tuple[Array, Array]:
    """(442, 10) and (442,), read from scikit-learn's files where they are: importing it takes every worker 1.2 s."""
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations or ()) if package else ():
        files = [Path(folder, "datasets", "data", f"diabetes_{part}.csv.gz") for part in ("data_raw", "target")]
        if all(file.is_file() for file in files):
            return np.loadtxt(files[0]), np.loadtxt(files[1])
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return x, y
