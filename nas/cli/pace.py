"""How far a search has come, and how long it will still take."""

from __future__ import annotations

import time

from nas.controller.history import History, Trial
from nas.controller.tally import Tally


class Pace:
    """The speed since training began: not the start of workers, nor what was done before or was known."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._begin: float | None = None
        self._before = self._trained()

    def see(self, trial: Trial) -> None:
        """A trial has changed, and the tally has seen it: the first epoch says when training began."""
        if self._begin is None and trial.curve and not trial.cached:
            earlier = trial.curve[-2].get("seconds", 0.0) if len(trial.curve) > 1 else 0.0
            self._begin = time.monotonic() - max(0.0, trial.seconds - earlier)

    def remaining(self, history: History) -> float | None:
        """Seconds to the end of the budget by the speed so far, and never beyond the deadline; None if unknown."""
        now = time.monotonic()
        by_time = None if history.deadline is None else max(0.0, history.deadline - now)
        trained = self._trained() - self._before
        if history.budget is None or self._begin is None or trained <= 0:
            return by_time
        left = max(0.0, history.budget - self._trained() - self._tally.known)
        by_trials = (now - self._begin) / trained * left
        return by_trials if by_time is None else min(by_trials, by_time)

    def _trained(self) -> float:
        """Trials that were trained, those that run in part."""
        return self._tally.accepted - self._tally.known + sum(map(_share, self._tally.running.values()))


def _share(trial: Trial) -> float:
    last = trial.curve[-1] if trial.curve else {}
    epochs = last.get("epochs", 0.0)
    return min(1.0, last.get("epoch", 0.0) / epochs) if epochs else 0.0


def clock(seconds: float | None) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``, a question mark for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(max(0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
