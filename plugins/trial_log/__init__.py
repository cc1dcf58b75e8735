"""``trials.csv`` in a search's folder: a line for every finished trial, for spreadsheets and pandas."""

from __future__ import annotations

import csv
from pathlib import Path

from nas.controller.history import History, Trial
from nas.plugin.hooks import hookimpl

FILE = "trials.csv"
FACTS = ("number", "state", "source", "digest", "seconds", "cached", "reason")


class TrialLog:
    """Writes the file anew when a search starts or ends, and adds a line a trial in between."""

    def __init__(self) -> None:
        self._file: Path | None = None

    @hookimpl
    def nas_search_started(self, history: History, run: str) -> None:
        """Write what the ledger has so far."""
        self._file = Path(run) / FILE
        self._write(history)

    @hookimpl
    def nas_trial_finished(self, trial: Trial, history: History) -> None:
        """Add the trial."""
        if self._file is not None:
            with self._file.open("a", newline="") as file:
                csv.writer(file).writerow(_row(trial, history))

    @hookimpl
    def nas_search_finished(self, history: History, run: str) -> None:
        """Write the whole, in the order of the trials' numbers."""
        self._file = Path(run) / FILE
        self._write(history)

    def _write(self, history: History) -> None:
        assert self._file is not None
        labels = [decision.label for decision in history.space.decisions]
        with self._file.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*FACTS, *(objective.name for objective in history.objectives), *labels])
            writer.writerows(_row(trial, history) for trial in history.trials if trial.finished)


def _row(trial: Trial, history: History) -> list[object]:
    facts = [getattr(trial, name) for name in FACTS]
    values = trial.values or [""] * len(history.objectives)
    decided = trial.architecture.decisions
    return [*facts, *values, *(decided.get(decision.label, "") for decision in history.space.decisions)]


plugin = TrialLog()
