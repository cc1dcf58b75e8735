"""The live table: what runs with its curve, what has ended, the best or the front, and why trials were not trained."""

from __future__ import annotations

import time
from collections import deque
from threading import Lock

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.api import Run
from nas.cli.curve import LEVELS, PLAIN_LEVELS, curve_values, extent, sparkline
from nas.cli.pace import Pace, clock
from nas.cli.tables import STATE_STYLE, number, said_of, source_of, summary
from nas.controller.front import Front
from nas.controller.history import History, Trial
from nas.controller.tally import Tally

RECENT = 6
"""Finished trials shown under the running ones: with two running the table fits twenty lines."""
FRONT = 5
"""Trials of a front that are shown."""
OTHER_LINES = 18
"""What is above and below the running trials: the terminal's other lines are theirs."""
FEWEST = 4
GROUPS = 2
"""Kinds of reasons that are shown of each state."""
REASON_WIDTH = 60


class TableView:
    """Progress, best so far, elapsed and remaining time, the running trials and the latest finished ones.

    All of it comes from a tally, so that a refresh takes as long after a thousand trials as after ten.
    """

    def __init__(self, out: Console) -> None:
        self._out = out
        self._begin = time.monotonic()
        self._lock = Lock()
        self._history: History | None = None
        self._recent: deque[Trial] = deque(maxlen=RECENT)
        self._live = Live(self, console=out, refresh_per_second=4, transient=True)
        self._live.start()

    def __call__(self, trial: Trial, history: History) -> None:
        """Takes what is to be shown from now on."""
        with self._lock:
            if self._history is None:
                self._tally = Tally(history.objectives, history.trials)
                self._pace = Pace(self._tally)
            self._tally.see(trial)
            self._pace.see(trial)
            self._history = history
            if trial.finished:
                self._recent.appendleft(trial)

    def end(self, run: Run) -> None:
        """The summary in the table's place."""
        self.close()
        self._out.print(summary(run))

    def close(self) -> None:
        """Gives the terminal back."""
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        levels = PLAIN_LEVELS if options.ascii_only else LEVELS
        rows = max(FEWEST, (options.height or console.height) - OTHER_LINES)
        with self._lock:  # another thread draws than the one that watches
            shown = self._shown(rows, levels)
        yield shown

    def _shown(self, rows: int, levels: str) -> RenderableType:
        elapsed, history = time.monotonic() - self._begin, self._history
        if history is None:
            return Text(f"starting the workers … {elapsed:.0f}s", "dim")
        parts = [self._head(history, elapsed), self._trials(history, rows, levels)]
        if self._tally.front is not None and self._tally.front.points:
            parts += _front_rows(self._tally.front, history)
        parts += [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in said_of(self._tally, groups=GROUPS)]
        return Group(*parts)

    def _head(self, history: History, elapsed: float) -> RenderableType:
        done, budget = self._tally.accepted, history.budget
        line = Table.grid(padding=(0, 3))
        line.add_row(
            Text(f"{done}/{budget or '∞'} trials", "bold"),
            ProgressBar(total=budget or max(done, 1), completed=done, width=16),
            f"elapsed {clock(elapsed)}",
            f"remaining {clock(self._pace.remaining(history))}",
        )
        return Group(line, Text.assemble(("best ", "bold"), best_text(self._tally, history)))

    def _trials(self, history: History, rows: int, levels: str) -> Table:
        objective = history.objectives[0]
        table = Table(box=None, padding=(0, 1), pad_edge=False)
        for column in ("trial", "state", "epoch", objective.name, "curve", "seconds", "source"):
            table.add_column(column, no_wrap=True)
        table.add_column("reason")  # which gives way where the terminal is narrow
        running, ended = list(self._tally.running.values()), list(self._recent)
        curves = [curve_values(trial, objective) for trial in [*running[:rows], *ended]]
        low, high = extent(curves)
        for trial, curve in zip([*running[:rows], *ended], curves, strict=True):
            table.add_row(
                str(trial.number),
                Text(trial.state, STATE_STYLE[trial.state]),
                epoch_text(trial),
                number(value_of(trial, history)),
                sparkline(curve, low, high, levels),
                f"{trial.seconds:.1f}" if trial.seconds else "",
                source_of(trial),
                Text(trial.reason.partition("\n")[0][:REASON_WIDTH], no_wrap=True, overflow="ellipsis"),
            )
        if len(running) > rows:
            table.caption, table.caption_justify = f"and {len(running) - rows} more that run", "left"
        return table


def value_of(trial: Trial, history: History) -> float | None:
    """The first objective's value, of a running trial what is known of it now."""
    if trial.values:
        return trial.values[0]
    return None if trial.finished else trial.metrics.get(history.objectives[0].metric)


def epoch_text(trial: Trial) -> str:
    """How far a trial has come: ``3/8``."""
    latest = trial.curve[-1] if trial.curve else {}
    if not latest:
        return "" if trial.finished else "…"
    epochs = latest.get("epochs")
    return f"{latest.get('epoch', len(trial.curve)):.0f}" + (f"/{epochs:.0f}" if epochs else "")


def best_text(tally: Tally, history: History) -> str:
    """The best trial and its values."""
    best = tally.best
    if best is None:
        return "none yet"
    names = [objective.name for objective in history.objectives]
    said = " ".join(f"{name}={number(value)}" for name, value in zip(names, best.values or (), strict=True))
    return f"{said} (trial {best.number})"


def _front_rows(front: Front, history: History) -> list[RenderableType]:
    """Some of the front, the best in the first objective first, and what it covers."""
    table = Table(*("front", *(o.name for o in history.objectives)), box=None, padding=(0, 1), pad_edge=False)
    found = sorted(front.points, key=lambda number: tuple(front.points[number]))
    for member in found[:FRONT]:
        table.add_row(str(member), *map(number, history.trials[member].values or ()))
    covered = front.hypervolume
    more = "" if covered is None else f", hypervolume {number(covered)}"
    return [table, Text(f"{len(found)} on the front{more}", "dim")]
