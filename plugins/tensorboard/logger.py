"""Event files for TensorBoard, a folder a trial, written by the driver as epochs are reported."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.controller.history import History, Trial
from nas.controller.limits import QUANTITIES
from nas.errors import ConfigError
from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NO_CURVES = ("epoch", "epochs", *QUANTITIES)
"""Metrics of an epoch that are the same in every one of a trial, or its number."""


class TensorBoard:
    """Writes `folder`, by default ``tensorboard`` in the run's: scalars an epoch, and of each trial its decisions as
    text and, with its results, as hyperparameters. What was trained before it was switched on is written, too.
    """

    def __init__(self, *, folder: str = "tensorboard") -> None:
        if find_spec("tensorboard") is None:
            raise ConfigError("logger 'tensorboard' needs the extra 'tensorboard': pip install 'graphnas[tensorboard]'")
        self._folder = folder
        self._root = Path(folder)
        self._writers: dict[int, SummaryWriter] = {}
        self._written: dict[int, int] = {}

    @hookimpl
    def nas_search_started(self, history: History, run: str) -> None:
        """Catches up with what the ledger has."""
        self._root = Path(run) / self._folder
        for trial in history.trials:
            there = self._place(trial).exists()
            if trial.finished and not there:
                self._ended(trial, history)
            elif not trial.finished:
                self._written[trial.number] = len(trial.curve) if there else 0

    @hookimpl
    def nas_trial_reported(self, trial: Trial, history: History) -> None:
        """Adds the epoch."""
        self._epochs(trial)

    @hookimpl
    def nas_trial_finished(self, trial: Trial, history: History) -> None:
        """Adds the result."""
        self._ended(trial, history)

    @hookimpl
    def nas_search_finished(self, history: History, run: str) -> None:
        """Closes the files of trials that are still in flight."""
        for number in list(self._writers):
            self._writers.pop(number).close()

    def _place(self, trial: Trial) -> Path:
        return self._root / str(trial.number)

    def _writer(self, trial: Trial) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if trial.number not in self._writers:
            writer = self._writers[trial.number] = SummaryWriter(str(self._place(trial)))
            _text(writer, "architecture", _table(trial))
        return self._writers[trial.number]

    def _epochs(self, trial: Trial) -> None:
        writer = self._writer(trial)
        for metrics in trial.curve[self._written.get(trial.number, 0) :]:
            for name, value in metrics.items():
                if name not in NO_CURVES and math.isfinite(value):
                    writer.add_scalar(name, value, int(metrics["epoch"]))
        self._written[trial.number] = len(trial.curve)
        writer.flush()

    def _ended(self, trial: Trial, history: History) -> None:
        if trial.state == "refused":  # it has no curve, and there may be thousands
            return
        self._epochs(trial)
        writer = self._writers.pop(trial.number)
        _text(writer, "outcome", f"{trial.state}: {trial.reason}" if trial.reason else trial.state)
        names = [objective.name for objective in history.objectives]
        results = {f"result/{name}": value for name, value in zip(names, trial.values or (), strict=False)}
        decided = {label: _plain(value) for label, value in trial.architecture.decisions.items()}
        if results:
            writer.add_hparams(decided, results, run_name=".")
        writer.close()
        self._written.pop(trial.number, None)


def _text(writer: SummaryWriter, name: str, text: str) -> None:
    writer.add_text(name, text)


def _table(trial: Trial) -> str:
    """Who proposed the trial and what was decided, in Markdown."""
    rows = {"proposed by": trial.source, "digest": trial.digest, **trial.architecture.decisions}
    rows |= {name: trial.metrics[name] for name in QUANTITIES if name in trial.metrics}
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
