"""Drawing a directed acyclic graph in layers (Sugiyama et al. 1981): every edge goes down, long ones around the boxes.

Layers by longest path, order by barycentres, places by least squares. Where edges cross a layer there is a waypoint,
one for all edges that come from the same place: they part as late as they can.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Name = Hashable
Point = tuple[float, float]

GAP = 14.0
"""Between neighbours of a layer."""

LANE = 8.0
"""What a waypoint of a long edge takes."""

SWEEPS = 12


@dataclass(frozen=True)
class Size:
    """Width and height."""

    w: float
    h: float


@dataclass
class Layered:
    """Where everything is: rows of names, the middle of each on the x axis, and for every edge its waypoints by row."""

    rows: list[list[Name]]
    x: dict[Name, float]
    waypoints: dict[tuple[Name, Name], list[Name]] = field(default_factory=dict)


def layered(sizes: Mapping[Name, Size], edges: Sequence[tuple[Name, Name]], last: Name) -> Layered:
    """Nodes in rows from top to bottom, `last` alone in the lowest; sizes are in topological order."""
    edges = list(dict.fromkeys(edges))
    level = _levels(sizes, edges, last)
    rows: list[list[Name]] = [[] for _ in range(max(level.values()) + 1)]
    for name in sizes:
        rows[level[name]].append(name)
    links: list[tuple[Name, Name]] = []
    waypoints: dict[tuple[Name, Name], list[Name]] = {}
    for source, target in edges:
        between: list[Name] = [(source, row) for row in range(level[source] + 1, level[target])]
        waypoints[source, target] = between
        links += pairwise([source, *between, target])
    links = list(dict.fromkeys(links))
    for point in dict.fromkeys(point for between in waypoints.values() for point in between):
        rows[point[1]].append(point)  # type: ignore[index]
    above, below = _neighbours(links)
    _order(rows, above, below)
    widths = {name: sizes[name].w if name in sizes else LANE for row in rows for name in row}
    return Layered(rows, _places(rows, widths, above, below), waypoints)


Neighbours = dict[Name, list[Name]]


def _levels(sizes: Mapping[Name, Size], edges: Sequence[tuple[Name, Name]], last: Name) -> dict[Name, int]:
    """Row of each node: as high as its inputs let it, then as low as its readers let it where it reads inputs only."""
    level = dict.fromkeys(sizes, 0)
    above, below = _neighbours(edges)
    for name in sizes:
        level[name] = max((level[source] + 1 for source in above.get(name, [])), default=0)
    level[last] = max((level[name] + 1 for name in sizes if name != last), default=0)
    for name in reversed(list(sizes)):
        readers = below.get(name, [])
        if readers and above.get(name) and len(above[name]) < 2:
            level[name] = max(level[name], min(level[reader] for reader in readers) - 1)
    return level


def _neighbours(links: Iterable[tuple[Name, Name]]) -> tuple[Neighbours, Neighbours]:
    above: Neighbours = {}
    below: Neighbours = {}
    for source, target in links:
        above.setdefault(target, []).append(source)
        below.setdefault(source, []).append(target)
    return above, below


def _order(rows: list[list[Name]], above: Neighbours, below: Neighbours) -> None:
    """Sorts every row by the mean position of its neighbours, downwards and upwards in turn; keeps the best found."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        beside = above if down else below
        for number in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            before = rows[number - 1 if down else number + 1]
            rank = {name: i / max(len(before) - 1, 1) for i, name in enumerate(before)}
            row = rows[number]
            own = {name: i / max(len(row) - 1, 1) for i, name in enumerate(row)}
            row.sort(key=lambda name: _mean([rank[n] for n in beside.get(name, []) if n in rank], own[name]))
        if (found := _crossings(rows, below)) < fewest:
            best, fewest = [list(row) for row in rows], found
    rows[:] = best


def _crossings(rows: list[list[Name]], below: Neighbours) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        rank = {name: i for i, name in enumerate(lower)}
        ends = [rank[n] for name in upper for n in sorted(below.get(name, []), key=rank.__getitem__)]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


def _places(
    rows: list[list[Name]], widths: Mapping[Name, float], above: Neighbours, below: Neighbours
) -> dict[Name, float]:
    """Middles on the x axis: each near the mean of its neighbours, none over another."""
    x: dict[Name, float] = {}
    for row in rows:
        total = sum(widths[name] + GAP for name in row) - GAP
        left = -total / 2
        for name in row:
            x[name] = left + widths[name] / 2
            left += widths[name] + GAP
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            beside = above if down else below
            wanted = [_mean([x[n] for n in beside.get(name, [])], x[name]) for name in row]
            x |= zip(row, _apart(wanted, [widths[name] for name in row]), strict=True)
    return x


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The nearest places to those wanted, in order and without overlap: isotonic regression of what is left."""
    offsets = [0.0]
    for one, other in pairwise(widths):
        offsets.append(offsets[-1] + (one + other) / 2 + GAP)
    pools: list[tuple[float, int]] = []
    for value, offset in zip(wanted, offsets, strict=True):
        pools.append((value - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    level = [value for value, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(level, offsets, strict=True)]
