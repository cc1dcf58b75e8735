"""Which checkpoints a search keeps: those of the best trials and of the ones in flight."""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush

from nas.controller.front import Front, front
from nas.controller.history import History, Trial
from nas.storage import File, delete

FOLDER, NAME = "checkpoints", "last.pt"
KEPT = 3
"""The winner and two runners-up: all that an export or a second look needs."""


def checkpoint_file(place: File, number: int) -> File:
    """Where trial `number` keeps its checkpoint: `place` is the search's folder or its storage."""
    return place / FOLDER / str(number) / NAME


def best_trials(history: History) -> list[Trial]:
    """The trials whose checkpoints are worth keeping, the best first; of several objectives also the front's."""
    best = sorted(history.complete, key=history.score, reverse=True)[:KEPT]
    return [*best, *(trial for trial in front(history) if trial not in best)] if len(history.objectives) > 1 else best


class Checkpoints:
    """The checkpoints at `place`: that of a finished trial goes when it is not, or no longer, among `best_trials`."""

    def __init__(self, place: File) -> None:
        self._place = place
        self._best: list[tuple[float, int]] = []
        self._front: Front | None = None
        self._kept: set[int] = set()
        self._stale: deque[int] = deque()
        self._begun = False

    def see(self, trial: Trial, history: History) -> None:
        """A trial has changed; the first time all of `history` is looked at."""
        if not self._begun and len(history.objectives) > 1:
            self._front = Front(history.objectives)
        for one in [trial] if self._begun else history.trials:
            if one.finished and one.state != "refused":
                self._ended(one, history.score(one))
        self._begun = True

    def drop(self) -> None:
        """Deletes what need not be kept; another thread may do it than the one that sees."""
        while self._stale:
            delete(self._place / FOLDER / str(self._stale.popleft()))

    def _ended(self, trial: Trial, score: float) -> None:
        if trial.state != "complete" or not all(map(math.isfinite, trial.values or (math.nan,))):
            self._stale.append(trial.number)
            return
        heappush(self._best, (score, -trial.number))
        if len(self._best) > KEPT:
            heappop(self._best)
        kept = {-number for _, number in self._best}
        if self._front is not None:
            self._front.add(trial.number, trial.values or ())
            kept |= self._front.points.keys()
        self._stale += sorted((self._kept | {trial.number}) - kept)
        self._kept = kept
