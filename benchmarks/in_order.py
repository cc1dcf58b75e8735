"""Given networks trained through Ray, one after the other, for benchmarks that count how soon they end."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nas
from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.errors import CandidateError
from nas.parts import Parts
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec


class InOrder:
    """Proposes what is on its list."""

    def __init__(self, networks: Sequence[nas.Architecture]) -> None:
        self._list = networks

    def propose(self, history: nas.History, rng: random.Random) -> nas.Architecture:
        return self._list[len(history.trials)]


def distinct(parts: Parts, count: int) -> list[nas.Architecture]:
    """Some networks that can be built, no two the same."""
    rng, found = random.Random(0), dict[str, nas.Architecture]()
    while len(found) < count:
        candidate = parts.space.sample(rng)
        try:
            parts.measure(candidate)
        except CandidateError:
            continue
        found.setdefault(candidate.digest, candidate)
    return list(found.values())


def train_all(
    networks: Sequence[nas.Architecture], parts: Parts, config: Mapping[str, Any], resources: Resources
) -> tuple[list[float], list[nas.Trial]]:
    """When each ended, by `time.perf_counter`, and the trials; `config` is the workers', but for the run's folder."""
    ended: list[float] = []

    def watch(trial: nas.Trial, history: nas.History) -> None:
        if trial.finished:
            assert trial.state == "complete", trial.reason
            ended.append(time.perf_counter())

    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.create(Path(folder) / "run", parts.space, parts.objectives) as ledger,
    ):
        controller = Controller(
            ledger=ledger,
            strategy=("list", InOrder(networks)),
            check=lambda _: {},
            budget=len(networks),
            watcher=watch,
        )
        where = str(ledger.folder)
        run_ray(controller, WorkerSpec(config={**config, "run": where, "storage": where}), resources)
        return ended, list(ledger.trials)
