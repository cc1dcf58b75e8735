"""What a runner is told: which worker to make, and on what."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from nas.controller.history import Trial
from nas.errors import ConfigError
from nas.runner.sharing import share, uses

WORKER = "nas.train.worker:Worker"


class Worker(Protocol):
    """Trains trials, one after the other; made once a process from a configuration of plain data."""

    def trial(self, job: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        """One mapping of metrics an epoch, each after its checkpoint is durable.

        With ``epoch`` and ``epochs`` in it the last one is known as such.
        """
        ...

    def score(self, architecture: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The zero-cost ``scores`` of an architecture and the ``seconds`` each took, by name."""
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A class of workers, named by a string so that runners import no torch, and what to make one from.

    `files` are the data files that every worker reads.
    """

    target: str = WORKER
    config: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def build(self, **more: object) -> Worker:
        """A worker, in this process."""
        module, _, name = self.target.partition(":")
        made: Worker = getattr(importlib.import_module(module), name)({**self.config, **more})
        return made


@dataclass(frozen=True, slots=True)
class Resources:
    """How many trials run at a time and what each gets; `address` is a Ray cluster's, None for this machine.

    `concurrency` None is as many as the cores allow; `runtime_env` is what Ray shall make of its workers' surroundings;
    `processes` train a trial together and have its CPUs and GPUs in equal parts; with `shares_gpus` each has the part
    of a GPU that the first ones needed, and `concurrency` is the most that run at a time.
    """

    concurrency: int | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    address: str | None = None
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    shares_gpus: bool = False

    @property
    def threads(self) -> int:
        """Threads that a process of a trial may use, so that those side by side don't fight for cores."""
        return max(1, int(self.cpus_per_trial / self.processes))

    def slots(self, cpus: float, gpus: float) -> int:
        """How many trials run at a time on these; raises ConfigError when they don't suffice."""
        fit = cpus / self.cpus_per_trial if self.cpus_per_trial else float("inf")
        if self.gpus_per_trial:
            fit = min(fit, gpus / self.gpus_per_trial)
        slots = self.concurrency or max(1, int(fit + 1e-9))
        if self.shares_gpus:
            slots = max(1, min(slots, int(fit + 1e-9)))
        if slots > fit + 1e-9:
            raise ConfigError(
                f"expected resources for {slots} trials at a time with {self.cpus_per_trial:g} CPUs and "
                f"{self.gpus_per_trial:g} GPUs each, got {cpus:g} CPUs and {gpus:g} GPUs; ask for less"
            )
        return slots

    def fitted(self, trials: Iterable[Trial]) -> Resources:
        """These, or with `shares_gpus` those that `trials` show to be enough for each."""
        part = share(uses(trials)) if self.shares_gpus else None
        return self if part is None else replace(self, gpus_per_trial=part)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def explain(error: BaseException) -> str:
    """An exception as one line: what it says and where it was raised."""
    said = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said[:500]}{place}" if said else f"{type(error).__name__}{place}"


def score_all(worker: Worker, job: Mapping[str, Any]) -> list[dict[str, Mapping[str, Any]]]:
    """What a worker says of the architectures of a score job, in their order; nothing of one that it fails on."""
    found: list[dict[str, Mapping[str, Any]]] = []
    for architecture in job["architectures"]:
        try:
            said = worker.score(architecture, job["proxies"])
        except Exception:
            said = {}
        found.append({key: said[key] for key in ("scores", "seconds") if key in said})
    return found


def is_last(metrics: Mapping[str, float]) -> bool:
    """Whether these are the metrics of a trial's last epoch, as far as they say."""
    return "epochs" in metrics and metrics.get("epoch", 0) >= metrics["epochs"]
