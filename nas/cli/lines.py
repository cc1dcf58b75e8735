"""What a search prints where there is no terminal: lines for people, or JSON for programs; nothing when quiet."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any, TextIO

from rich.console import Console

from nas.api import Run
from nas.cli.live import best_text, epoch_text, value_of
from nas.cli.pace import Pace, clock
from nas.cli.tables import number, run_record, summary, trial_record
from nas.controller.history import History, Trial
from nas.controller.tally import Tally

SILENCE = 60.0
"""Seconds without a line after which the running trials are said: a log shall show that the search is alive."""


class QuietView:
    """The result alone."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def __call__(self, trial: Trial, history: History) -> None:
        """Nothing."""

    def end(self, run: Run) -> None:
        """The summary."""
        self._out.print(summary(run))

    def close(self) -> None:
        """Nothing to give back."""


class LineView(QuietView):
    """A line a finished trial, after one on what is searched; and one now and then where trials take long."""

    _tally: Tally | None = None

    def __call__(self, trial: Trial, history: History) -> None:
        """Prints the trial when it has ended."""
        if self._tally is None:
            self._tally = Tally(history.objectives, history.trials)
            self._pace = Pace(self._tally)
            self._out.print(_searched(history, self._tally.states.total() - trial.finished))
            self._printed = time.monotonic()
        self._tally.see(trial)
        self._pace.see(trial)
        if trial.finished:
            self._print(self._line(trial, history, self._tally))
        elif time.monotonic() - self._printed > SILENCE:
            self._print(_running(history, self._tally))

    def _print(self, line: str) -> None:
        self._out.print(line, soft_wrap=True)
        self._printed = time.monotonic()

    def _line(self, trial: Trial, history: History, tally: Tally) -> str:
        names = [objective.name for objective in history.objectives]
        said = " ".join(f"{n}={number(v)}" for n, v in zip(names, trial.values or (), strict=False))
        parts = [f"trial {trial.number} {'known' if trial.cached else trial.state}", said]
        parts += [trial.reason.partition("\n")[0], f"{trial.seconds:.1f}s", f"from {trial.source}"]
        parts += [f"best {best_text(tally, history)}", f"{tally.accepted}/{history.budget or '∞'}"]
        parts += [f"{clock(self._pace.remaining(history))} left"]
        return "  ".join(part for part in parts if part)


class JsonView:
    """One JSON object a line for everything that happens, on `out`, where nothing else may be written.

    The objects are described in docs/watching.md. A number that is not finite is null.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._epochs: dict[int, int] = {}
        self._begun = False

    def __call__(self, trial: Trial, history: History) -> None:
        """Writes what has happened to the trial."""
        if not self._begun:
            self._begun = True
            self._write("search", _search_record(trial, history))
        said = trial_record(trial, history.objectives)
        if trial.finished:
            self._epochs.pop(trial.number, None)
            self._write("finished" if trial.state == "complete" else trial.state, said)
            return
        before = self._epochs.get(trial.number)
        self._epochs[trial.number] = len(trial.curve)
        if before is None or before == len(trial.curve):
            self._write("started", {**said, "epoch": len(trial.curve)})
        else:
            self._write("epoch", {"number": trial.number, **dict(trial.curve[-1])})

    def end(self, run: Run) -> None:
        """Writes how the search ended."""
        tally = Tally(run.history.objectives, run.trials)
        said = {name: value for name, value in run_record(run).items() if name not in ("trials", "config")}
        grouped = {
            state: [{"count": count, "reason": reason} for count, reason in reasons.most()]
            for state, reasons in tally.reasons.items()
        }
        states = {str(state): count for state, count in tally.states.items()}
        if tally.running:
            states["running"] = len(tally.running)
        more = {"reason": run.reason, "states": states, "reasons": grouped}
        self._write("summary", {**said, **more, "known": tally.known, "saved_seconds": round(tally.saved_seconds, 3)})

    def close(self) -> None:
        """Nothing to give back."""

    def _write(self, event: str, said: dict[str, Any]) -> None:
        record = _finite({"event": event, "time": round(time.time(), 3), **said})
        self._out.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
        self._out.flush()


def taken_stdout() -> TextIO:
    """Standard output for us alone: whatever else is printed there by this process goes to standard error from now on.

    Also what C code prints, and what trials print that run in this process.
    """
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def _searched(history: History, before: int) -> str:
    many = f"{history.budget} trials" if history.budget else "as many trials as fit the time"
    space = history.space
    return f"searching {space.name} ({space.size:,} architectures), {many}, {before} done before"


def _running(history: History, tally: Tally) -> str:
    said = [
        f"trial {trial.number} epoch {epoch_text(trial)} {number(value_of(trial, history))}"
        for trial in tally.running.values()
    ]
    return f"running: {'; '.join(said)}"


def _search_record(first: Trial, history: History) -> dict[str, Any]:
    left = None if history.deadline is None else round(history.deadline - time.monotonic(), 3)
    objectives = [{"name": o.name, "metric": o.metric, "direction": o.direction} for o in history.objectives]
    return {
        "space": history.space.name,
        "size": history.space.size,
        "objectives": objectives,
        "limits": [str(limit) for limit in history.limits],
        "budget": history.budget,
        "seconds_left": left,
        "trials_before": sum(trial.finished for trial in history.trials if trial.number != first.number),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
