"""Schedulers: their options follow the epochs, and the rules decide as their papers say."""

from __future__ import annotations

import pytest

from nas.errors import ConfigError
from nas_plugins.schedulers.stopping import asha, hyperband, median_stopping


def rungs(scheduler: object, epochs: int) -> list[list[int]]:
    """The epochs at which each bracket decides; at the last epoch there is nothing to decide."""
    return [sorted(at for at, _ in bracket._rungs if at < epochs) for bracket in scheduler._brackets]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("epochs", "expected"), [(24, [[2, 6, 18]]), (9, [[1, 3]]), (3, [[1]]), (1, [[]])])
def test_asha_has_two_or_three_rungs(epochs: int, expected: list[list[int]]) -> None:
    assert rungs(asha(epochs), epochs) == expected


def test_hyperband_has_a_bracket_for_each_rung_to_begin_at() -> None:
    assert rungs(hyperband(27), 27) == [[1, 3, 9], [3, 9], [9], []]
    assert rungs(hyperband(1), 1) == [[]]


def test_nothing_pauses() -> None:
    from nas.runner.ray_runner import PAUSING

    assert not any(isinstance(make(24), PAUSING) for make in (asha, hyperband, median_stopping))


@pytest.mark.parametrize(
    ("make", "options", "expected"),
    [
        (asha, {"grace_period": 0}, "expected grace_period within 1 and 24 epochs, got 0"),
        (asha, {"brackets": 0}, "expected brackets of at least 1, got 0"),
        (hyperband, {"reduction_factor": 1}, "expected reduction_factor above 1, got 1"),
        (median_stopping, {"grace_period": 25}, "expected grace_period within 1 and 24 epochs, got 25"),
        (median_stopping, {"min_samples_required": 0}, "expected min_samples_required of at least 1, got 0"),
    ],
)
def test_wrong_options_are_refused(make: object, options: dict[str, int], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        make(24, **options)  # type: ignore[operator]
