"""Trials a minute: a search through Ray beside two bare processes that train the same architectures.

    python benchmarks/throughput.py [--trials 20] [--epochs 6] [--rounds 2]

Both train networks of `cell_cnn` on scikit-learn's digits, two at a time, one thread each. The bare processes run a
short loop of their own: no ledger, no checkpoints, no Ray. Each side first trains one network a process, uncounted, so
that start-up is left out; the counted time ends when the last network is trained. Sides take turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bare import parts_of, train
from in_order import distinct, train_all
from rich.console import Console
from rich.table import Table

import nas
from nas.config import SearchConfig
from nas.parts import Parts, assemble
from nas.runner.spec import Resources

PROCESSES = 2


def through_ray(architectures: Sequence[nas.Architecture], parts: Parts, config: Mapping[str, Any]) -> float:
    """Seconds that Ray takes for all but the first architecture of each worker."""
    ended, _ = train_all(architectures, parts, config, Resources(PROCESSES))
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
    parts = assemble(SearchConfig.parse({"recipe": config["recipe"]}))
    architectures = distinct(parts, given.trials + PROCESSES)
    table = Table("round", "bare: trials/min", "Ray: trials/min", "ratio", title=f"{given.trials} trials on digits")
    ratios = []
    for number in range(given.rounds):
        alone, ray = bare(architectures, config), through_ray(architectures, parts, config)
        ratios.append(alone / ray)
        rates = (f"{60 * given.trials / seconds:.1f}" for seconds in (alone, ray))
        table.add_row(str(number + 1), *rates, f"{ratios[-1]:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"median ratio {statistics.median(ratios):.2f} (target: at least 0.9)")


if __name__ == "__main__":
    main()
