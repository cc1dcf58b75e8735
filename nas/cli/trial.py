"""One trial of a run: what became of it, its curve, and what it printed."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.api import Run
from nas.cli.curve import curve_values, extent, sparkline
from nas.cli.tables import number, source_of, trial_record
from nas.controller.history import Trial
from nas.controller.limits import QUANTITIES
from nas.errors import LedgerError
from nas.runner.output import last_lines, log_file
from nas.storage import File, open_place

LINES = 20
"""Of a trial's log, the last ones."""
WIDTH = 60
"""Characters of its curve."""


def one_trial(run: Run, wanted: int) -> Trial:
    """The trial of that number; raises LedgerError when there is none."""
    if 0 <= wanted < len(run.trials):
        return run.trials[wanted]
    raise LedgerError(f"{run.folder} has no trial {wanted}; it has {len(run.trials)}, numbered from 0")


def whole_record(run: Run, trial: Trial) -> dict[str, Any]:
    """One trial for ``--json``, with its curve, its architecture, and where its log is."""
    curve = [dict(epoch) for epoch in trial.curve]
    more = {"curve": curve, "architecture": trial.architecture.to_dict(), "log": _log(run, trial)}
    return trial_record(trial, run.history.objectives) | more


def trial_table(run: Run, trial: Trial) -> RenderableType:
    """One trial for people."""
    facts = Table.grid(padding=(0, 2))
    named = {"number": str(trial.number), "state": trial.state, "source": source_of(trial), "digest": trial.digest}
    for name, said in named.items():
        facts.add_row(name, said)
    for objective, value in zip(run.history.objectives, trial.values or (), strict=False):
        facts.add_row(objective.name, number(value))
    facts.add_row("seconds", f"{trial.seconds:.1f}")
    if trial.reason:
        facts.add_row("reason", Text(trial.reason))
    judged = [objective.metric for objective in run.history.objectives]
    for name in (name for name in QUANTITIES if name in trial.metrics and name not in judged):
        facts.add_row(name, f"{trial.metrics[name]:,.6g}")
    for label, decided in trial.architecture.decisions.items():
        facts.add_row(label, str(decided))
    curve = curve_values(trial, run.history.objectives[0])
    if curve:
        facts.add_row("curve", sparkline(curve, *extent([curve]), width=WIDTH))
    return Group(facts, *([_epochs(trial)] if curve else []), *_printed(run, trial))


def _epochs(trial: Trial) -> Table:
    judged = [key for key in trial.curve[0] if key.startswith("val_")]
    columns = ["epoch", "train_loss", *judged, "seconds"]
    table = Table(*(key.replace("_", " ") for key in columns), title="epochs", title_justify="left")
    for epoch in trial.curve:
        table.add_row(*(number(epoch.get(key)) for key in columns))
    return table


def _printed(run: Run, trial: Trial) -> list[RenderableType]:
    """Where the trial's log is, and its end."""
    lines = last_lines(_place(run), trial.number, LINES)
    if lines is None:
        why = "its result was known" if trial.cached else "it was never trained" if trial.state == "refused" else "none"
        return [Text(f"log: {why}")]
    return [Text(f"log: {_log(run, trial)}"), *(Text(f"  {line}", "dim") for line in lines)]


def _log(run: Run, trial: Trial) -> str | None:
    file = log_file(_place(run), trial.number)
    return str(file) if file.is_file() else None


def _place(run: Run) -> File:
    return open_place(run.config.storage or run.folder.resolve())
