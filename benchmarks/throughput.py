"""Trials a minute: a search through Ray beside two bare processes that train the same architectures.

    python benchmarks/throughput.py [--trials 20] [--epochs 6] [--rounds 2]

Both train networks of `cell_cnn` on scikit-learn's digits, two at a time, one thread each. The bare processes run a
short loop of their own: no ledger, no checkpoints, no Ray. Each side first trains one network a process, uncounted, so
that start-up is left out; the counted time ends when the last network is trained. Sides take turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bare import parts_of, train
from rich.console import Console
from rich.table import Table

import nas
from nas.config import SearchConfig
from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.parts import assemble
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec

PROCESSES = 2


class InOrder:
    """Proposes what is on its list."""

    def __init__(self, architectures: Sequence[nas.Architecture]) -> None:
        self._list = architectures

    def propose(self, history: nas.History, rng: random.Random) -> nas.Architecture:
        return self._list[len(history.trials)]


def distinct(space: nas.Space, count: int) -> list[nas.Architecture]:
    """Some networks that can be built, no two the same."""
    from nas.errors import CandidateError
    from nas.model import blueprint

    registry, rng = nas.create_manager().registry, random.Random(0)
    found: dict[str, nas.Architecture] = {}
    task = nas.TaskInfo("digits", (nas.Port("image", (1, 8, 8)),), 10)
    while len(found) < count:
        candidate = space.sample(rng)
        try:
            blueprint(candidate, task, registry)
        except CandidateError:
            continue
        found.setdefault(candidate.digest, candidate)
    return list(found.values())


def through_ray(architectures: Sequence[nas.Architecture], config: Mapping[str, Any]) -> float:
    """Seconds that Ray takes for all but the first architecture of each worker."""
    parts = assemble(SearchConfig.parse({"recipe": config["recipe"]}))
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
            strategy=("list", InOrder(architectures)),
            check=lambda _: {},
            budget=len(architectures),
            watcher=watch,
        )
        run_ray(controller, WorkerSpec(config={**config, "run": str(ledger.folder)}), Resources(PROCESSES))
        ledger.close()
    return ended[-1] - ended[PROCESSES - 1]


def bare(architectures: Sequence[nas.Architecture], config: Mapping[str, Any]) -> float:
    """Seconds that two bare processes take for all but their first architectures."""
    context = multiprocessing.get_context("spawn")
    waiting, done = context.Queue(), context.Queue()
    for architecture in architectures:
        waiting.put(architecture.to_dict())
    for _ in range(PROCESSES):
        waiting.put(None)
    processes = [context.Process(target=_bare_process, args=(waiting, done, dict(config))) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    ended = [done.get() for _ in architectures]
    for process in processes:
        process.join()
    return float(ended[-1] - ended[PROCESSES - 1])


def _bare_process(waiting: Any, done: Any, config: dict[str, Any]) -> None:
    import torch

    from nas.train.recipe import Recipe
    from nas.train.worker import Setting

    torch.set_num_threads(config["threads"])
    setting, recipe = Setting.open(config), Recipe.parse(config["recipe"])
    parts = parts_of(setting)
    while (said := waiting.get()) is not None:
        torch.manual_seed(0)
        train(setting.blueprint(nas.Architecture.from_dict(said)).build(), parts, recipe)
        done.put(time.perf_counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    config = {
        "plugins": [],
        "task": "digits",
        "recipe": {"epochs": given.epochs, "augment": "none"},
        "seed": 0,
        "threads": 1,
        "device": "cpu",
    }
    space = assemble(SearchConfig.parse({})).space
    architectures = distinct(space, given.trials + PROCESSES)
    table = Table("round", "bare: trials/min", "Ray: trials/min", "ratio", title=f"{given.trials} trials on digits")
    ratios = []
    for number in range(given.rounds):
        alone, ray = bare(architectures, config), through_ray(architectures, config)
        ratios.append(alone / ray)
        rates = (f"{60 * given.trials / seconds:.1f}" for seconds in (alone, ray))
        table.add_row(str(number + 1), *rates, f"{ratios[-1]:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"median ratio {statistics.median(ratios):.2f} (target: at least 0.85)")


if __name__ == "__main__":
    main()
