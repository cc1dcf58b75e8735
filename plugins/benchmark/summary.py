"""From searches to numbers: means and intervals over seeds, and how soon a strategy is as good as another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from nas.controller.simulate import interval

from .runs import Played

POINTS = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
"""Numbers of trainings that the table shows, as far as they go."""


@dataclass(frozen=True)
class Line:
    """One strategy. `curve` has mean and half the 95 % interval of regret after each training.

    optimum: after how many trainings half the seeds had found the best, None where fewer ever did; found: how many did.
    fewest: the shortest search's number of trainings, and why that one ended.
    """

    strategy: str
    curve: tuple[tuple[float, float], ...]
    optimum: float | None
    found: int
    seeds: int
    hours: float
    propose_median: float
    propose_max: float
    scored: float
    score_share: float
    fewest: int
    reason: str

    def reaches(self, regret: float) -> int | None:
        """After how many trainings its mean regret is for the first time at most `regret`."""
        return next((n for n, (mean, _) in enumerate(self.curve, 1) if mean <= regret), None)


def summarise(played: Sequence[Played], trials: int) -> list[Line]:
    """A line a strategy, in the order in which they come."""
    names = dict.fromkeys(one.strategy for one in played)
    return [_line([one for one in played if one.strategy == name], trials) for name in names]


def points(trials: int) -> list[int]:
    """Where the table looks at the curves: fixed numbers, and the end."""
    return [n for n in POINTS if n < trials] + [trials]


def at(values: Sequence[float], n: int) -> float:
    """The value after `n` trainings; a search that ended before keeps its last."""
    return values[min(n, len(values)) - 1] if values else math.nan


def record(lines: Sequence[Line], trials: int) -> list[dict[str, Any]]:
    """The lines as JSON."""
    return [
        {
            "strategy": line.strategy,
            "regret": {n: {"mean": line.curve[n - 1][0], "half": line.curve[n - 1][1]} for n in points(trials)},
            "optimum": {"found": line.found, "seeds": line.seeds, "median": line.optimum},
            "hours": line.hours,
            "propose_seconds": {"median": line.propose_median, "max": line.propose_max},
            "scored": line.scored,
            "score_share": line.score_share,
        }
        for line in lines
    ]


def _line(played: Sequence[Played], trials: int) -> Line:
    curve = [interval([at(one.regrets, n) for one in played]) for n in range(1, trials + 1)]
    optima = [one.optimum or math.inf for one in played]
    spent = [seconds for one in played for seconds in one.propose_seconds]
    scores, trained = (sum(getattr(one, f"{name}_seconds") for one in played) for name in ("score", "trained"))
    shortest = min(played, key=lambda one: len(one.regrets))
    return Line(
        played[0].strategy,
        tuple(curve),
        middle if math.isfinite(middle := median(optima)) else None,
        sum(map(math.isfinite, optima)),
        len(played),
        interval([max(one.seconds, default=0.0) for one in played])[0] / 3600,
        median(spent) if spent else math.nan,
        max(spent, default=math.nan),
        interval([float(one.scored) for one in played])[0],
        scores / trained if trained else 0.0,
        len(shortest.regrets),
        shortest.reason,
    )
