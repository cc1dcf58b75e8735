"""Several objectives at once: what dominates what, and how much a front dominates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.controller.history import Objective

Point = tuple[float, ...]
"""A value an objective, turned so that more is better."""


def signed(values: Iterable[float], objectives: Sequence[Objective]) -> Point:
    """The values of `objectives`, turned so that more is better."""
    return tuple(objective.sign * value for objective, value in zip(objectives, values, strict=True))


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is at least as good in everything and better in something; more is better."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other dominates, each once, the best in the first value first; more is better."""
    kept: list[Point] = []
    for point in sorted(set(points), reverse=True):  # what dominates a point comes before it
        if not any(dominates(better, point) for better in reversed(kept)):
            kept.append(point)
    return kept


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """The volume that `points` dominate above `reference`, exactly; more is better.

    A sweep for one and two values; else the sum of what each point adds to those after it (While, Bradstreet & Barone,
    IEEE Transactions on Evolutionary Computation 2012, WFG).
    """
    above = [point for point in points if all(a > r for a, r in zip(point, reference, strict=True))]
    return _volume(front(above), reference)


def added(point: Point, points: Iterable[Point], reference: Point) -> float:
    """The volume that `point` adds to what `points` dominate above `reference`."""
    if not all(a > r for a, r in zip(point, reference, strict=True)):
        return 0.0
    return _box(point, reference) - hypervolume((tuple(map(min, point, other)) for other in points), reference)


def _volume(points: list[Point], reference: Point) -> float:
    if len(reference) == 1:
        return points[0][0] - reference[0] if points else 0.0
    if len(reference) == 2:
        total, height = 0.0, reference[1]
        for x, y in points:  # from right to left, so each is higher than those before
            total += (x - reference[0]) * (y - height)
            height = y
        return total
    return sum(added(point, points[number + 1 :], reference) for number, point in enumerate(points))


def _box(point: Point, reference: Point) -> float:
    volume = 1.0
    for a, r in zip(point, reference, strict=True):
        volume *= a - r
    return volume
