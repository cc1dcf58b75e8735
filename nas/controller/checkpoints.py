"""Which checkpoints a search keeps: those of the best trials and of the ones in flight."""

from __future__ import annotations

from nas.controller.history import History, Trial
from nas.storage import File, delete

FOLDER, NAME = "checkpoints", "last.pt"
KEPT = 3
"""The winner and two runners-up: all that an export or a second look needs."""


def checkpoint_file(place: File, number: int) -> File:
    """Where trial `number` keeps its checkpoint: `place` is the search's folder or its storage."""
    return place / FOLDER / str(number) / NAME


def best_trials(history: History) -> list[Trial]:
    """The trials whose checkpoints are worth keeping, the best first."""
    return sorted(history.complete, key=history.score, reverse=True)[:KEPT]


def drop_checkpoints(place: File, history: History, dropped: set[int]) -> None:
    """Deletes the checkpoints of finished trials that are not among the best `KEPT`, and adds them to `dropped`."""
    keep = {trial.number for trial in best_trials(history)}
    for trial in history.trials:
        if trial.finished and trial.number not in keep and trial.number not in dropped:
            delete(place / FOLDER / str(trial.number))
            dropped.add(trial.number)
