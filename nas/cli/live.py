"""What a person sees while a search runs: a live table on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.cli.tables import STATE_STYLE, console, number
from nas.config import parse_duration
from nas.controller.controller import Watcher
from nas.controller.history import History, Trial

RECENT = 6
"""Finished trials shown under the running ones: with two running the table fits twenty lines."""


@contextmanager
def watch(quiet: bool, seconds: float | str | None = None) -> Iterator[Watcher | None]:
    """The watcher that fits the output: a live table, lines, or none. `seconds` is the search's time, if it has one."""
    if quiet:
        yield None
        return
    out = console()
    if not out.is_terminal:
        yield LineWatcher()
        return
    table = TableWatcher(parse_duration(seconds) if isinstance(seconds, str) else seconds)
    with Live(table, console=out, refresh_per_second=4, transient=True):
        yield table


class LineWatcher:
    """A line a finished trial, after one on what is searched."""

    def __init__(self) -> None:
        self._out = console()
        self._begun = False

    def __call__(self, trial: Trial, history: History) -> None:
        """Prints the trial when it has ended."""
        if not self._begun:
            self._begun = True
            many = f"{history.budget} trials" if history.budget else "as many trials as fit the time"
            done = sum(t.finished for t in history.trials)
            space = history.space
            self._out.print(f"searching {space.name} ({space.size:,} architectures), {many}, {done} done before")
        if trial.finished:
            self._out.print(self._line(trial, history))

    def _line(self, trial: Trial, history: History) -> str:
        names = [objective.name for objective in history.objectives]
        said = " ".join(f"{n}={number(v)}" for n, v in zip(names, trial.values or (), strict=False))
        parts = [f"trial {trial.number} {trial.state}", said, trial.reason.partition("\n")[0]]
        parts += [f"{trial.seconds:.1f}s", f"from {trial.source}", f"best {_best(history)}"]
        return "  ".join(part for part in parts if part)


class TableWatcher:
    """Progress, best so far, elapsed and remaining time, the running trials and the latest finished ones."""

    def __init__(self, seconds: float | None) -> None:
        self._begin = time.monotonic()
        self._deadline = None if seconds is None else self._begin + seconds
        self._history: History | None = None
        self._done_before = 0

    def __call__(self, trial: Trial, history: History) -> None:
        """Takes what is to be shown from now on."""
        if self._history is None:
            self._done_before = _trained(history)
        self._history = history

    def __rich__(self) -> RenderableType:
        elapsed = time.monotonic() - self._begin
        if self._history is None:
            return Text(f"starting the workers … {elapsed:.0f}s", "dim")
        return Group(self._head(self._history, elapsed), self._trials(self._history))

    def _head(self, history: History, elapsed: float) -> RenderableType:
        done, budget = _trained(history), history.budget
        line = Table.grid(padding=(0, 3))
        line.add_row(
            Text(f"{done}/{budget or '∞'} trials", "bold"),
            ProgressBar(total=budget or max(done, 1), completed=done, width=24),
            f"elapsed {_clock(elapsed)}",
            f"remaining {_clock(self._remaining(history, elapsed))}",
            f"best {_best(history)}",
        )
        return line

    def _remaining(self, history: History, elapsed: float) -> float | None:
        """By the speed so far, and never beyond the deadline."""
        done = _trained(history)
        by_time = self._deadline - time.monotonic() if self._deadline is not None else None
        fresh = done - self._done_before
        if history.budget is None or fresh < 1:
            return by_time
        by_trials = elapsed / fresh * (history.budget - done)
        return by_trials if by_time is None else min(by_trials, by_time)

    def _trials(self, history: History) -> Table:
        name = history.objectives[0].name
        table = Table("trial", "state", "epoch", name, "seconds", "source", "reason", box=None, padding=(0, 2))
        for trial in history.trials:
            if not trial.finished:
                latest = trial.curve[-1] if trial.curve else {}
                epoch = f"{latest.get('epoch', 0):.0f}/{latest.get('epochs', 0):.0f}" if latest else "…"
                value = number(latest.get(history.objectives[0].metric))
                state = Text("running", STATE_STYLE["running"])
                table.add_row(
                    str(trial.number), state, epoch, value, number(latest.get("seconds")), trial.source, trial.reason
                )
        for trial in [t for t in history.trials if t.finished][: -RECENT - 1 : -1]:
            state = Text(trial.state, STATE_STYLE[trial.state])
            value = number((trial.values or [None])[0])
            reason = trial.reason.partition("\n")[0][:60]
            table.add_row(
                str(trial.number), state, str(len(trial.curve)), value, f"{trial.seconds:.1f}", trial.source, reason
            )
        counts = Counter(trial.state for trial in history.trials)
        table.caption = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        return table


def _best(history: History) -> str:
    best = history.best
    return f"{number((best.values or [None])[0])} (trial {best.number})" if best else "-"


def _trained(history: History) -> int:
    return sum(trial.state in ("complete", "stopped", "failed") for trial in history.trials)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(max(0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
