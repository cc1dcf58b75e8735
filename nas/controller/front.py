"""Several objectives: who dominates whom, the front, and how much of the space of values it covers.

Points are lists of costs: every objective turned so that less is better.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

from nas.controller.history import History, Objective, Trial

Point = Sequence[float]

HYPERVOLUME = "hypervolume"
"""The metric of a trial that says what the front covered when it ended."""
FIRST = 10
"""Complete trials whose worst values are the reference of the hypervolume: a fifth of a search of fifty."""


def costs(history: History, trials: Sequence[Trial]) -> list[tuple[float, ...]]:
    """The values of trials that have them, turned so that less is better."""
    return [turned(trial.values or (), history.objectives) for trial in trials]


def turned(values: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """One value an objective, turned so that less is better."""
    return tuple(-objective.sign * value for objective, value in zip(objectives, values, strict=True))


def front(history: History) -> list[Trial]:
    """The complete trials that no other dominates, by number; of equal ones all."""
    complete = history.complete
    return [complete[i] for i in front_of(costs(history, complete))]


def front_of(points: Sequence[Point]) -> list[int]:
    """The numbers of the points that no other dominates, in their order; of equal ones all."""
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: tuple(points[i])):  # what dominates a point comes before it
        if not _dominated(points[i], [points[j] for j in found]):
            found.append(i)
    return sorted(found)


class Front:
    """The front of a search and what it covers, kept up as trials complete, in the time that the front's size takes.

    `points` has the costs of the trials on the front, by number. It says what `front`, `reference_values` and
    `hypervolume_of` say of a history with the same trials.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self._first: list[tuple[int, Point]] = []
        self.points: dict[int, Point] = {}

    def add(self, number: int, values: Sequence[float]) -> None:
        """A complete trial with finite values."""
        point = turned(values, self._objectives)
        insort(self._first, (number, point))
        del self._first[FIRST:]
        if not _dominated(point, list(self.points.values())):
            self.points = {n: other for n, other in self.points.items() if not dominates(point, other)}
            self.points[number] = point

    @property
    def numbers(self) -> list[int]:
        """Of the trials that no other dominates."""
        return sorted(self.points)

    @property
    def reference(self) -> list[float] | None:
        """See `reference_values`."""
        return _values(self._corner(), self._objectives)

    @property
    def hypervolume(self) -> float | None:
        """See `hypervolume_of`; what is dominated covers nothing by itself."""
        corner = self._corner()
        return None if corner is None else hypervolume([self.points[n] for n in self.numbers], corner)

    def _corner(self) -> tuple[float, ...] | None:
        return _worst([point for _, point in self._first])


def reference_point(history: History) -> tuple[float, ...] | None:
    """The worst cost in each objective among the first `FIRST` complete trials; None until there are so many.

    It does not move after that, so that hypervolumes of one search can be compared with one another.
    """
    return _worst(costs(history, history.complete[:FIRST]))


def reference_values(history: History) -> list[float] | None:
    """The `reference_point` as values of the objectives, for people."""
    return _values(reference_point(history), history.objectives)


def hypervolume_of(history: History) -> float | None:
    """What the front covers of the space below the `reference_point`; None while there is no such point."""
    reference = reference_point(history)
    return None if reference is None else hypervolume(costs(history, history.complete), reference)


def _worst(first: Sequence[Point]) -> tuple[float, ...] | None:
    return tuple(map(max, zip(*first, strict=True))) if len(first) == FIRST else None


def _values(point: Point | None, objectives: Sequence[Objective]) -> list[float] | None:
    if point is None:
        return None
    return [-objective.sign * cost for objective, cost in zip(objectives, point, strict=True)]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is nowhere worse and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def ranks(points: Sequence[Point]) -> list[int]:
    """0 for those that no other dominates, 1 for those that only these dominate, and so on (Deb et al. 2002).

    In lexical order a point comes after all that dominate it (Zhang et al., IEEE TEC 2015).
    """
    found, fronts = [0] * len(points), list[list[Point]]()
    for i in sorted(range(len(points)), key=lambda i: tuple(points[i])):
        rank = next((r for r, members in enumerate(fronts) if not _dominated(points[i], members)), len(fronts))
        if rank == len(fronts):
            fronts.append([])
        fronts[rank].append(points[i])
        found[i] = rank
    return found


def _dominated(point: Point, by: Sequence[Point]) -> bool:
    return any(dominates(other, point) for other in by)


def crowding(points: Sequence[Point]) -> list[float]:
    """How far apart the neighbours of each point of one front are, relative to its extent; inf at its ends."""
    found = [0.0] * len(points)
    for axis in range(len(points[0]) if points else 0):
        ordered = sorted(range(len(points)), key=lambda i: points[i][axis])
        extent = points[ordered[-1]][axis] - points[ordered[0]][axis]
        found[ordered[0]] = found[ordered[-1]] = math.inf
        for before, i, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            found[i] += (points[after][axis] - points[before][axis]) / extent if extent else 0.0
    return found


def order(points: Sequence[Point]) -> list[int]:
    """The numbers of the points from best to worst: by rank, then where their own front is least crowded."""
    rank = ranks(points)
    lonely = [0.0] * len(points)
    for level in set(rank):
        members = [i for i, r in enumerate(rank) if r == level]
        for i, distance in zip(members, crowding([points[i] for i in members]), strict=True):
            lonely[i] = distance
    return sorted(range(len(points)), key=lambda i: (rank[i], -lonely[i], i))


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that `points` dominate, bounded by `reference`; exact, in any number of dimensions.

    Less is better in every dimension. Points that are not better than the reference in all dimensions, or not finite,
    add nothing. By slicing along the last dimension: with n points on the front O(n log n) in two, O(n^2 log n) in
    three (While et al., IEEE TEC 2006).

    >>> hypervolume([(0, 1), (1, 0)], (2, 2))
    3.0
    """
    inside = [tuple(p) for p in points if all(x < r for x, r in zip(p, reference, strict=True))]
    return _volume([point for point in inside if all(map(math.isfinite, point))], tuple(reference))


def _volume(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    if not points:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - min(points)[0])
    points = sorted(points, key=lambda point: point[-1])
    if len(reference) == 2:
        return _area(points, reference)
    total, slab = 0.0, list[tuple[float, ...]]()
    for point, above in zip(points, [*(p[-1] for p in points[1:]), reference[-1]], strict=True):
        if not any(all(a <= b for a, b in zip(other, point[:-1], strict=True)) for other in slab):
            slab = [other for other in slab if not dominates(point[:-1], other)] + [point[:-1]]
        total += _volume(slab, reference[:-1]) * (above - point[-1]) if above > point[-1] else 0.0
    return total


def _area(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """Of points sorted by their second coordinate: one step of a staircase after the other."""
    total, left = 0.0, reference[0]
    for x, y in points:
        if x < left:
            total += (left - x) * (reference[1] - y)
            left = x
    return total
