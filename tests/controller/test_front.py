"""Fronts, crowding and hypervolumes, against a count of boxes."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.controller.front import FIRST, crowding, dominates, front, hypervolume, hypervolume_of, order, ranks
from nas.controller.front import reference_point as reference_of
from nas.testing import toys

PAST = toys.with_cost(toys.history(toys.cell_space(), ["complete", "failed", "stopped", "complete"] * 8))


@given(
    st.integers(1, 4).flatmap(
        lambda d: st.lists(st.lists(st.integers(0, 4), min_size=d, max_size=d), min_size=1, max_size=7)
    )
)
def test_the_hypervolume_is_the_number_of_unit_boxes_dominated(points: list[list[int]]) -> None:
    size = 4
    boxes = itertools.product(range(size), repeat=len(points[0]))
    counted = sum(any(all(p <= b for p, b in zip(point, box, strict=True)) for point in points) for box in boxes)
    assert hypervolume(points, [size] * len(points[0])) == pytest.approx(counted)


def test_what_is_outside_or_not_finite_adds_nothing() -> None:
    inside = [(0.0, 1.0), (1.0, 0.0)]
    outside = [(2.0, -5.0), (3.0, 3.0), (math.nan, 0.0), (-math.inf, 0.0), (0.0, math.inf)]
    assert hypervolume(inside + outside, (2, 2)) == hypervolume(inside, (2, 2)) == 3.0
    assert hypervolume([], (2, 2)) == hypervolume(outside, (2, 2)) == 0.0


def test_ranks_peel_one_front_after_the_other() -> None:
    points = [(3.0, 3.0), (1.0, 2.0), (2.0, 1.0), (2.0, 3.0), (1.0, 2.0)]
    assert ranks(points) == [2, 0, 0, 1, 0]
    assert ranks([]) == []
    assert not dominates(points[1], points[4])


def test_the_ends_of_a_front_and_its_thin_part_come_first() -> None:
    points = [(0.0, 10.0), (1.0, 8.0), (1.5, 7.5), (6.0, 2.0), (10.0, 0.0), (9.0, 9.0)]
    assert crowding(points[:5])[0] == crowding(points[:5])[4] == math.inf
    ordered = order(points)
    assert set(ordered[:2]) == {0, 4}
    assert ordered[2] == 3
    assert ordered[-1] == 5
    assert crowding([(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)])[1] == 0.0


def test_the_front_of_a_history_has_complete_trials_that_none_dominates() -> None:
    found = front(PAST)
    assert found
    for trial in found:
        assert trial.state == "complete"
        assert trial.values is not None
        for other in PAST.complete:
            assert other.values is not None
            better = other.values[0] >= trial.values[0] and other.values[1] <= trial.values[1]
            assert not better or other.values == trial.values


def test_the_reference_is_the_worst_of_the_first_and_then_stays() -> None:
    first = PAST.complete[:FIRST]
    values = [trial.values for trial in first if trial.values]
    assert reference_of(PAST) == (-min(v[0] for v in values), max(v[1] for v in values))
    few = toys.with_cost(toys.history(toys.cell_space(), ["complete"] * (FIRST - 1)))
    assert reference_of(few) is None
    assert hypervolume_of(few) is None
    assert (hypervolume_of(PAST) or 0) > 0
