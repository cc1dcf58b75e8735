"""What every task must be: arrays that agree with what it says of itself, the same every time."""

from __future__ import annotations

import numpy as np

from nas.space.ports import TaskInfo
from nas.testing.case import Case
from nas.testing.elsewhere import same_elsewhere


def check_arrays_agree_with_the_info(case: Case) -> None:
    """Train and test part have the shapes, the labels and the finite numbers that `info` promises."""
    from nas.train.task import check_task

    task = case.make()
    assert isinstance(task.info, TaskInfo), f"{case}: info is a {type(task.info).__name__}"
    check_task(task)


def check_every_class_can_be_learned(case: Case) -> None:
    """Every class has an example in the part that is trained on."""
    task = case.make()
    if task.info.target == "class":
        missing = sorted(set(range(task.info.outputs)) - set(np.unique(task.train_arrays().y).tolist()))
        assert not missing, f"{case}: no example of class {missing[0]} to train on"


def check_loads_the_same_twice(case: Case) -> None:
    """Loaded twice, the arrays and the fingerprint are equal."""
    one, other = case.make(), case.make()
    for part in ("train_arrays", "test_arrays"):
        first, second = getattr(one, part)(), getattr(other, part)()
        pairs = zip((*first.x, first.y), (*second.x, second.y), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs), f"{case}: {part} differ from one time to the next"
    assert one.fingerprint == other.fingerprint, f"{case}: the fingerprint differs from one time to the next"


def check_fingerprint_is_the_same_elsewhere(case: Case) -> None:
    """Another process with another PYTHONHASHSEED gives the data the same fingerprint."""
    same_elsewhere(fingerprint, case)


def check_normalization_fits_the_input(case: Case) -> None:
    """Means and deviations, where there are any, are finite, one a channel or feature, no deviation zero."""
    task = case.make()
    found = task.normalize(task.train_arrays())
    assert len(found) == len(task.info.inputs), f"{case}: expected numbers or None for each input, got {found}"
    for numbers, port in zip(found, task.info.inputs, strict=True):
        if numbers is None:
            continue
        fits = len(numbers.mean) == len(numbers.std) == port.width
        assert fits, f"{case}: expected {port.width} of each for {port}, got {numbers}"
        finite = np.isfinite([*numbers.mean, *numbers.std]).all()
        assert finite, f"{case}: means or deviations are not finite: {numbers}"
        assert min(numbers.std) > 0, f"{case}: expected deviations above 0, got {min(numbers.std)}"


def fingerprint(case: Case) -> str:
    """The task's fingerprint."""
    return str(case.make().fingerprint)


CHECKS = (
    check_arrays_agree_with_the_info,
    check_every_class_can_be_learned,
    check_loads_the_same_twice,
    check_fingerprint_is_the_same_elsewhere,
    check_normalization_fits_the_input,
)
