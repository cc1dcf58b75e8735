"""What runs in a Ray worker process: one worker of ours, kept over all the trials that the process gets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ray.tune import Trainable

from nas.errors import LedgerError, LostProcessError
from nas.runner.nodes import check_versions
from nas.runner.output import TrialOutput
from nas.runner.spec import Worker, WorkerSpec, explain, is_last, score_all

MESSAGE = "nas"
"""Key of a result under which our message travels, as JSON."""


class WorkerTrainable(Trainable):
    """A class trainable of Ray Tune; a trial that raises is an ordinary result, so that the process stays warm."""

    def setup(self, config: dict[str, Any]) -> None:
        """Makes the worker, once a process."""
        self._worker: Worker | None = None
        self._output: TrialOutput | None = None
        self._broken = ""
        said = json.loads(config["worker"])
        self._config = said["config"]
        try:
            # read by numerical libraries when the worker's module imports them
            os.environ["OMP_NUM_THREADS"] = str(said["config"]["threads"])
            check_versions(said["config"].get("versions", {}))
            self._worker = WorkerSpec(said["target"], said["config"]).build()
        except Exception as error:
            self._broken = explain(error)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial."""
        self._leave()
        self._job = json.loads(new_config["job"])
        self._epochs: Iterator[Mapping[str, float]] | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch, or computes the scores of a score job."""
        if self._worker is None:
            return _result({"broken": self._broken}, last=True)
        if "proxies" in self._job:
            return _result({"scores": score_all(self._worker, self._job)}, last=True)
        output = self._output = self._output or TrialOutput(self._config, self._job)
        try:
            with output.kept():
                if self._epochs is None:
                    self._epochs = iter(self._worker.trial(self._job))
                metrics = next(self._epochs, None)
        except LedgerError as error:  # a full disk: no fault of the trial
            return _result({"unsafe": str(error)}, last=True)
        except LostProcessError as error:
            return self._ended(error, "lost", str(error))
        except Exception as error:
            return self._ended(error, "failed", explain(error))
        if metrics is None:
            self._leave()
            return _result({}, last=True)
        plain = {name: value if isinstance(value, int) else float(value) for name, value in metrics.items()}
        if is_last(plain):
            self._leave()
        return _result({"metrics": plain}, last=is_last(plain))

    def _ended(self, error: Exception, how: str, reason: str) -> dict[str, Any]:
        """The result of a trial that raised."""
        assert self._output is not None
        self._output.failed(error)
        self._leave()
        self._epochs = None
        return _result({how: reason}, last=True)

    def _leave(self) -> None:
        """The trial, also one that the scheduler has stopped, prints nothing more."""
        if self._output is not None:
            self._output.close()
            self._output = None

    def cleanup(self) -> None:
        """Closes the worker."""
        self._leave()
        if self._worker is not None:
            self._worker.close()

    def get_auto_filled_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Without the configuration, which would travel back with every epoch."""
        filled: dict[str, Any] = super().get_auto_filled_metrics(*args, **kwargs)
        filled.pop("config", None)
        return filled


def _result(message: dict[str, Any], *, last: bool) -> dict[str, Any]:
    """The message for us, and metrics beside it for Ray Tune's schedulers, who count epochs as iterations."""
    metrics = message.get("metrics", {})
    counted = {"training_iteration": int(metrics["epoch"])} if "epoch" in metrics else {}
    return {**metrics, **counted, MESSAGE: json.dumps({**message, "last": last}), "done": last}
