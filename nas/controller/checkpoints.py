"""Which checkpoints a search keeps: those of the best trials and of the ones in flight."""

from __future__ import annotations

import shutil
from pathlib import Path

from nas.controller.history import History

FOLDER = "checkpoints"
KEPT = 3
"""The winner and two runners-up: all that an export or a second look needs."""


def drop_checkpoints(run: Path, history: History) -> None:
    """Deletes the checkpoints of finished trials that are not among the best `KEPT`."""
    best = sorted(history.complete, key=history.score, reverse=True)[:KEPT]
    keep = {trial.number for trial in best}
    for trial in history.trials:
        folder = run / FOLDER / str(trial.number)
        if trial.finished and trial.number not in keep and folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
