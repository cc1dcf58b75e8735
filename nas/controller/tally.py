"""What can be said of a search at any moment, kept up trial by trial: no event costs more because many came before."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from nas.controller.front import Front, turned
from nas.controller.history import Objective, State, Trial

MOST_GROUPS = 50
"""Kinds of reasons that are told apart; what comes beyond them is counted together."""
OTHERS = "other reasons"


class Tally:
    """Of the trials seen so far; one is to be seen whenever it has changed.

    running: the trials in flight, by number.
    states: how many have ended in each state.
    reasons: by state, why trials failed, were refused or stopped.
    known: how many were answered from earlier searches, which saved `saved_seconds` of training.
    trained: how many were trained to their end, which took `trained_seconds`.
    best: the complete trial with the best first objective, the first of equals.
    front: of several objectives; None for one.
    """

    def __init__(self, objectives: Sequence[Objective], trials: Iterable[Trial] = ()) -> None:
        self.objectives = tuple(objectives)
        self.running: dict[int, Trial] = {}
        self.states: Counter[State] = Counter()
        self.reasons: dict[State, Reasons] = {}
        self.known, self.saved_seconds = 0, 0.0
        self.trained, self.trained_seconds = 0, 0.0
        self.best: Trial | None = None
        self.front = Front(self.objectives) if len(self.objectives) > 1 else None
        self._ended: set[int] = set()
        for trial in trials:
            self.see(trial)

    @property
    def accepted(self) -> int:
        """Trials that count against the budget and have ended: all but those refused."""
        return self.states.total() - self.states["refused"]

    def see(self, trial: Trial) -> None:
        """A trial has started, reported an epoch, or ended; one that has ended counts once."""
        if not trial.finished:
            self.running[trial.number] = trial
            return
        self.running.pop(trial.number, None)
        if trial.number in self._ended:
            return
        self._ended.add(trial.number)
        self.states[trial.state] += 1
        if trial.reason:
            self.reasons.setdefault(trial.state, Reasons()).add(trial.reason)
        if trial.cached:
            self.known += 1
            self.saved_seconds += trial.seconds
        elif trial.state == "complete":
            self.trained += 1
            self.trained_seconds += trial.seconds
        if trial.state == "complete" and trial.values and all(map(math.isfinite, trial.values)):
            self._judge(trial, trial.values)

    def beaten(self, values: Sequence[float]) -> bool:
        """Whether a complete trial is at least as good as `values` in every objective."""
        mine = turned(values, self.objectives)
        if self.front is not None:
            return any(all(a <= b for a, b in zip(other, mine, strict=True)) for other in self.front.points.values())
        return self.best is not None and turned(self.best.values or (), self.objectives) <= mine

    def _judge(self, trial: Trial, values: Sequence[float]) -> None:
        if self.front is not None:
            self.front.add(trial.number, values)
        if self.best is None or _rank(trial, self.objectives) < _rank(self.best, self.objectives):
            self.best = trial


class Reasons:
    """Why trials ended, grouped: reasons that differ in their numbers alone are one."""

    def __init__(self) -> None:
        self._groups: dict[str, tuple[int, str]] = {}
        self.last = ""

    def add(self, reason: str) -> None:
        """One more."""
        self.last = reason.partition("\n")[0]
        group = re.sub(r"\d+([.,]\d+)*(e[+-]?\d+)?", "#", self.last)
        if group not in self._groups and len(self._groups) >= MOST_GROUPS:
            group, reason = OTHERS, OTHERS
        self._groups[group] = self._groups.get(group, (0, ""))[0] + 1, reason.partition("\n")[0]

    def most(self, count: int | None = None) -> list[tuple[int, str]]:
        """How often and the latest of its kind, the commonest first."""
        return sorted(self._groups.values(), key=lambda group: -group[0])[:count]


def _rank(trial: Trial, objectives: Sequence[Objective]) -> tuple[float, int]:
    return turned(trial.values or (), objectives)[0], trial.number
