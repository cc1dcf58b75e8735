"""Which checkpoints a search keeps: those of the best trials and of the ones in flight."""

from __future__ import annotations

from nas.controller.history import History
from nas.storage import File, delete

FOLDER = "checkpoints"
KEPT = 3
"""The winner and two runners-up: all that an export or a second look needs."""


def drop_checkpoints(place: File, history: History, dropped: set[int]) -> None:
    """Deletes the checkpoints of finished trials that are not among the best `KEPT`, and adds them to `dropped`."""
    best = sorted(history.complete, key=history.score, reverse=True)[:KEPT]
    keep = {trial.number for trial in best}
    for trial in history.trials:
        if trial.finished and trial.number not in keep and trial.number not in dropped:
            delete(place / FOLDER / str(trial.number))
            dropped.add(trial.number)
