"""Which checkpoints a search keeps: those of the best trials and of the ones in flight."""

from __future__ import annotations

import shutil
from pathlib import Path

from nas.controller.history import History, Trial

FOLDER, NAME = "checkpoints", "last.pt"
KEPT = 3
"""The winner and two runners-up: all that an export or a second look needs."""


def checkpoint_file(run: str | Path, number: int) -> Path:
    """Where trial `number` of the search in folder `run` keeps its checkpoint."""
    return Path(run) / FOLDER / str(number) / NAME


def best_trials(history: History) -> list[Trial]:
    """The trials whose checkpoints are worth keeping, the best first."""
    return sorted(history.complete, key=history.score, reverse=True)[:KEPT]


def drop_checkpoints(run: Path, history: History) -> None:
    """Deletes the checkpoints of finished trials that are not among the best `KEPT`."""
    keep = {trial.number for trial in best_trials(history)}
    for trial in history.trials:
        folder = run / FOLDER / str(trial.number)
        if trial.finished and trial.number not in keep and folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
