"""What a table of trained architectures is: it answers for a training, so that strategies are judged without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nas.controller.history import Objective
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


class Table(Protocol):
    """A space and the row of each of its architectures.

    `objectives` are what a search optimises. With one, `judge` says which of a row's `judged` metrics tells how good
    the choice was and `best` is the best value it can have. With several `judge` is None, and what was found is judged
    by the hypervolume of `objectives` that it dominates within `reference`, a point no better than any row.
    """

    space: Space
    objectives: tuple[Objective, ...]
    judge: Objective | None
    best: float
    reference: tuple[float, ...]

    def row(self, architecture: Architecture) -> Row:
        """Raises CandidateError for an architecture that the table has no row for."""
        ...
