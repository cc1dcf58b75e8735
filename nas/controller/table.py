"""What a table of trained architectures is: it answers for a training, so that strategies are judged without one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from nas.controller.front import hypervolume, turned
from nas.controller.history import Objective
from nas.errors import CandidateError
from nas.space.architecture import Architecture
from nas.space.space import Space


@dataclass(frozen=True)
class Row:
    """What a table knows of one architecture.

    `curve` has the metrics of each epoch as a search sees them, the last are those of the whole training, which took
    `seconds`; `costs` are known before it; `judged` are metrics that no search ever sees (a test score); `scores` are
    zero-cost proxies, and `score_seconds` what each takes.
    """

    curve: tuple[Mapping[str, float], ...]
    seconds: float
    judged: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    score_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, float]:
        """All that is known of it after the training, what no search sees included."""
        return {**self.costs, **self.curve[-1], **self.judged}


class Table(Protocol):
    """A space and the row of each of its architectures.

    `objectives` are what a search optimises. With one, `judge` says which of a row's metrics tells how good the choice
    was and `best` is the best value it can have. With several `judge` is None, what was found is judged by the
    hypervolume of `objectives` that it dominates within `reference`, a point no better than any row, and `best` is the
    largest known. `proxies` names the zero-cost scores that rows have.
    """

    @property
    def space(self) -> Space:
        """What is searched."""
        ...

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What a search of it optimises."""
        ...

    @property
    def judge(self) -> Objective | None:
        """What tells how good the best of a search is."""
        ...

    @property
    def best(self) -> float:
        """The best that a search of it can find."""
        ...

    @property
    def reference(self) -> tuple[float, ...]:
        """The corner of the hypervolume; empty with one objective."""
        ...

    @property
    def proxies(self) -> tuple[str, ...]:
        """Names of the zero-cost scores that its rows have."""
        ...

    def row(self, architecture: Architecture) -> Row:
        """Raises CandidateError for an architecture that the table has no row for."""
        ...


def by_digest(architecture: Architecture) -> Hashable:
    """One row a network, however it is written."""
    return architecture.digest


@dataclass(frozen=True)
class Rows:
    """A table of which every row is in memory.

    rows: the row of each architecture under its `key`, by default the digest.
    judge: with one objective, what tells how good the choice was; None judges by the objective itself.
    """

    space: Space
    objectives: tuple[Objective, ...]
    rows: Mapping[Any, Row]
    judge: Objective | None = None
    key: Callable[[Architecture], Hashable] = by_digest

    def __post_init__(self) -> None:
        if self.judge is None and len(self.objectives) == 1:
            object.__setattr__(self, "judge", self.objectives[0])

    @cached_property
    def best(self) -> float:
        """See `Table`."""
        if self.judge is not None:
            values = [self.judge.sign * row.known[self.judge.metric] for row in self.rows.values()]
            return self.judge.sign * max(values)
        return hypervolume(self._points, turned(self.reference, self.objectives))

    @cached_property
    def reference(self) -> tuple[float, ...]:
        """See `Table`: the worst value of each objective."""
        if self.judge is not None:
            return ()
        worst = map(max, zip(*self._points, strict=True))
        return tuple(-o.sign * value for o, value in zip(self.objectives, worst, strict=True))

    @cached_property
    def proxies(self) -> tuple[str, ...]:
        """See `Table`."""
        return tuple(dict.fromkeys(name for row in self.rows.values() for name in row.scores))

    def row(self, architecture: Architecture) -> Row:
        """See `Table`."""
        if (found := self.rows.get(self.key(architecture))) is None:
            raise CandidateError("the table has no row for it")
        return found

    @property
    def _points(self) -> list[tuple[float, ...]]:
        """The objectives of every row, turned so that less is better."""
        rows = self.rows.values()
        return [turned([row.known[o.metric] for o in self.objectives], self.objectives) for row in rows]
