"""What a picture is made of: boxes inside boxes and the edges between them, before anything has a place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Style = Literal["name", "title", "plain", "choice", "faint", "times"]
Look = Literal["block", "choice", "group", "sum", "port"]


class Line(NamedTuple):
    """One line of text in a box."""

    text: str
    style: Style = "plain"


class Edge(NamedTuple):
    """From a box or an input to a box; `port` is which input of the target it is.

    maybe: whether it is there only under some decisions.
    """

    source: str
    target: str
    port: int = 0
    maybe: bool = False


@dataclass(frozen=True)
class Inside:
    """A graph of boxes: values that come in, boxes in topological order, edges, and the box that goes out."""

    inputs: tuple[str, ...]
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    output: str


@dataclass(frozen=True)
class Box:
    """A box with its lines and, where it is a graph, what is inside.

    name: unique among its siblings.  times: how often it stands there, one after the other, as words.
    kind: what decides its colour.  decides: labels of the decisions taken in it.
    """

    name: str
    look: Look
    lines: tuple[Line, ...] = ()
    kind: str = ""
    inside: Inside | None = None
    times: str = ""
    decides: frozenset[str] = frozenset()

    @property
    def heading(self) -> tuple[Line, ...]:
        """Its lines, and how often it stands there."""
        return (*self.lines, Line(self.times, "times")) if self.times else self.lines

    @property
    def size(self) -> int:
        """How many boxes it and its inside are."""
        return 1 + (sum(box.size for box in self.inside.boxes) if self.inside else 0)

    def texts(self) -> Iterator[str]:
        """All text in it."""
        yield from (line.text for line in self.heading)
        for box in self.inside.boxes if self.inside else ():
            yield from box.texts()


@dataclass(frozen=True)
class Picture:
    """A whole picture: its title, facts below it, the network from input to output, and short notes at its foot."""

    title: str
    facts: str
    network: Inside
    notes: tuple[str, ...] = ()
