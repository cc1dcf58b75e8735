"""Giving every box a place: boxes inside first, then those around them; a long network in columns."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace

from .layers import Layered, Name, Point, Size, layered
from .picture import Box, Inside, Style

LINE = 10.0
PAD = 6.0
ROW = 18.0
MARGIN = 10.0
GUTTER = 26.0
LOW = 420.0
"""Nothing lower than this goes on in a second column."""

ASPECT = 1.5
"""Width over height that what has columns goes for."""

Measure = Callable[[str, Style], float]


@dataclass
class Placed:
    """A box with its upper left corner, its size, and what is inside at places relative to that corner."""

    box: Box
    x: float
    y: float
    size: Size
    inside: Sheet | None = None

    @property
    def top(self) -> Point:
        """Where edges come in."""
        return self.x + self.size.w / 2, self.y

    @property
    def bottom(self) -> Point:
        """Where the value goes out."""
        return self.x + (self.size.w / 2 if self.inside is None else self.inside.exit), self.y + self.size.h

    def entry(self, port: int) -> Point:
        """Where input number `port` comes in."""
        if self.inside is None or not self.inside.entries:
            return self.top
        return self.x + self.inside.entries[min(port, len(self.inside.entries) - 1)], self.y


@dataclass
class Wire:
    """An edge as the points it goes through."""

    points: list[Point]
    maybe: bool = False
    arrow: bool = True


@dataclass
class Sheet:
    """Placed boxes and wires, with the x of each input, their y, and the x of the output at the bottom."""

    size: Size
    placed: list[Placed] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    entries: list[float] = field(default_factory=list)
    top: float = 0.0
    exit: float = 0.0


def arrange(inside: Inside, measure: Measure, most: int = 1) -> Sheet:
    """Places for all boxes of a graph.

    Rows go on beside one another where they would be too high and no more than `most` edges go from one to the next.
    """
    return _Arrangement(inside, measure, most).sheet()


INPUT, OUTPUT = "input", "output"


class _Arrangement:
    def __init__(self, inside: Inside, measure: Measure, most: int) -> None:
        self.inside, self.most = inside, most
        self.boxes: dict[Name, Placed] = {box.name: _sized(box, measure) for box in inside.boxes}
        self.ports: list[Name] = [(INPUT, name) for name in inside.inputs]
        sizes: dict[Name, Size] = dict.fromkeys(self.ports, Size(LINE, 0))
        sizes |= {name: placed.size for name, placed in self.boxes.items()}
        sizes[OUTPUT,] = Size(LINE, 0)
        self.edges: list[tuple[Name, Name, int, bool]] = [
            (self._name(edge.source), edge.target, edge.port, edge.maybe) for edge in inside.edges
        ]
        self.edges.append((self._name(inside.output), (OUTPUT,), 0, False))
        self.plan: Layered = layered(sizes, [(a, b) for a, b, _, _ in self.edges], (OUTPUT,))
        self.sizes = sizes
        self.row_of = {name: number for number, row in enumerate(self.plan.rows) for name in row}
        self.column: list[int] = []
        self.y: list[tuple[float, float]] = []
        self.shifts: list[float] = []

    def _name(self, source: str) -> Name:
        return (INPUT, source) if source in self.inside.inputs and source not in self.boxes else source

    def sheet(self) -> Sheet:
        """Rows below one another, in one column or several."""
        heights = [max((self.sizes[n].h for n in row if n in self.sizes), default=0.0) for row in self.plan.rows]
        left = 0.0
        for number, rows in enumerate(self._split(heights)):
            low, high = self._extent(rows)
            left += GUTTER if number else 0
            self.shifts.append(left - low)
            left += high - low
            y = 0.0
            for row in rows:
                self.column.append(number)
                self.y.append((y, y + heights[row]))
                y += heights[row] + self._gap(row)
        return self._filled(Size(left, max(bottom for _, bottom in self.y)))

    def _gap(self, row: int) -> float:
        """More room below rows with many edges."""
        return ROW + 2 * min(len(self.plan.rows[row]), 6)

    def _extent(self, rows: Sequence[int]) -> tuple[float, float]:
        sides = [
            (self.plan.x[n] - self._width(n) / 2, self.plan.x[n] + self._width(n) / 2)
            for row in rows
            for n in self.plan.rows[row]
        ]
        return min(low for low, _ in sides), max(high for _, high in sides)

    def _width(self, name: Name) -> float:
        return self.sizes[name].w if name in self.sizes else LINE

    def _split(self, heights: Sequence[float]) -> list[list[int]]:
        """Rows by columns: as many as let the whole be drawn largest on a page `ASPECT` times as wide as high."""
        one = [list(range(len(heights)))]
        total = self._height(one[0], heights)
        if total < LOW:
            return one
        breaks = {row for row in range(1, len(heights) - 2) if self._crossing(row) <= self.most}
        tried = [one, *(_columns(heights, breaks, total / count) for count in range(2, 9))]
        return min(tried, key=lambda columns: self._scale(columns, heights))

    def _crossing(self, row: int) -> int:
        """How many edges go from above a row to it or below it."""
        spans = [(self.row_of[source], self.row_of[target]) for source, target in self.plan.waypoints]
        return sum(upper < row <= lower for upper, lower in spans)

    def _height(self, rows: Sequence[int], heights: Sequence[float]) -> float:
        return sum(heights[row] + self._gap(row) for row in rows)

    def _scale(self, columns: list[list[int]], heights: Sequence[float]) -> float:
        """How much smaller the text is for it."""
        extents = [self._extent(rows) for rows in columns]
        width = sum(high - low + GUTTER for low, high in extents)
        return max(width / ASPECT, max(self._height(rows, heights) for rows in columns)) + 20 * len(columns)

    def _filled(self, size: Size) -> Sheet:
        sheet = Sheet(size)
        for name, placed in self.boxes.items():
            placed.x = self._x(name) - placed.size.w / 2
            top, bottom = self.y[self.row_of[name]]
            placed.y = top + (bottom - top - placed.size.h) / 2
            sheet.placed.append(placed)
        sheet.entries = [self._x(port) for port in self.ports]
        sheet.exit = self._x((OUTPUT,))
        crossings = 0
        for source, target, port, maybe in self.edges:
            points, crossings = self._points(source, target, port, crossings)
            sheet.wires.append(Wire(points, maybe))
        return sheet

    def _x(self, name: Name) -> float:
        return self.plan.x[name] + self.shifts[self.column[self.row_of[name]]]

    def _points(self, source: Name, target: Name, port: int, crossings: int) -> tuple[list[Point], int]:
        """The way of an edge: past the boxes of each row, and from the foot of a column to the head of the next."""
        points = self._leaving(source)
        column = self.column[self.row_of[source]]
        stops: list[tuple[Name, list[Point]]] = []
        for name in self.plan.waypoints[source, target]:
            top, bottom = self.y[self.row_of[name]]
            stops.append((name, [(self._x(name), top), (self._x(name), bottom)]))
        stops.append((target, self._entering(target, port)))
        for name, way in stops:
            now = self.column[self.row_of[name]]
            if now != column:
                points += self._over(points[-1], way[0], column, crossings)
                crossings += 1
                column = now
            points += way
        return points, crossings

    def _over(self, start: Point, end: Point, column: int, number: int) -> list[Point]:
        foot = max(bottom for (_, bottom), c in zip(self.y, self.column, strict=True) if c == column) + ROW / 2
        rows = [row for row, c in enumerate(self.column) if c == column]
        aside = self._extent(rows)[1] + self.shifts[column] + GUTTER / 2 + 3 * (number % 5 - 2)
        head = -ROW / 2 - 3 * (number % 4)
        return [(start[0], foot), (aside, foot), (aside, head), (end[0], head)]

    def _leaving(self, name: Name) -> list[Point]:
        """From a box to the foot of its row, past higher ones beside it."""
        x, y = self.boxes[name].bottom if name in self.boxes else (self._x(name), 0.0)
        foot = self.y[self.row_of[name]][1]
        return [(x, y), (x, foot)] if foot > y else [(x, y)]

    def _entering(self, name: Name, port: int) -> list[Point]:
        """From the head of a row to the box."""
        head = self.y[self.row_of[name]][0]
        x, y = self.boxes[name].entry(port) if name in self.boxes else (self._x(name), head)
        return [(x, head), (x, y)] if head < y else [(x, y)]


def _columns(heights: Sequence[float], breaks: Container[int], limit: float) -> list[list[int]]:
    columns: list[list[int]] = [[]]
    used = 0.0
    for row, height in enumerate(heights):
        if row in breaks and used + height / 2 > limit:
            columns.append([])
            used = 0.0
        columns[-1].append(row)
        used += height + ROW
    return columns


def _sized(box: Box, measure: Measure) -> Placed:
    """The box with the size that its text and its inside need; its place comes later."""
    if box.look in ("sum", "port"):
        side = 15.0 if box.look == "sum" else 6.0
        return Placed(box, 0, 0, Size(side, side))
    lines = box.heading
    text = max((measure(line.text, line.style) for line in lines), default=0.0) + 2 * PAD
    head = LINE * len(lines) + 2 * PAD
    if box.inside is None:
        return Placed(box, 0, 0, Size(text, head))
    sheet = arrange(box.inside, measure)
    width = max(text, sheet.size.w + 2 * MARGIN)
    inner = _moved(sheet, (width - sheet.size.w) / 2, head)
    size = Size(width, head + sheet.size.h + MARGIN / 2)
    inner.size = size
    inner.wires[-1] = _closed(inner.wires[-1], size.h)
    return Placed(box, 0, 0, size, inner)


def _moved(sheet: Sheet, dx: float, dy: float) -> Sheet:
    for placed in sheet.placed:
        placed.x, placed.y = placed.x + dx, placed.y + dy
    sheet.wires = [replace(wire, points=[(x + dx, y + dy) for x, y in wire.points]) for wire in sheet.wires]
    sheet.entries = [x + dx for x in sheet.entries]
    sheet.top, sheet.exit = sheet.top + dy, sheet.exit + dx
    return sheet


def _closed(wire: Wire, bottom: float) -> Wire:
    """The wire to the output, down to the border."""
    return replace(wire, points=[*wire.points[:-1], (wire.points[-1][0], bottom)], arrow=False)
