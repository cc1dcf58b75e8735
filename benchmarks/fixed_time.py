"""Trials finished in a fixed time from the call, start-up included: two bare processes, Ray Tune's reused class, nas.

    python benchmarks/fixed_time.py [--seconds 120] [--rounds 1]

The same work for all: scikit-learn's digits, a NAS-Bench-201-like cell (three stages of one cell, 16 channels), three
epochs a trial, random networks, two at a time. Each side is a process of its own, in turns. A side has *returned* when
its process has ended; bare processes look at the clock between trials, Ray Tune has its own time budget.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bare import parts_of, train
from rich.console import Console
from rich.table import Table

SPACE = "cell_cnn:channels=16,cells=1"
PROCESSES, EPOCHS = 2, 3
MANY = 1000
"""Trials that Ray Tune has waiting: with none waiting it stops its actors instead of reusing them."""
CONFIG: dict[str, Any] = {
    "plugins": [], "task": "digits", "seed": 0, "threads": 1, "device": "cpu",
    "recipe": {"epochs": EPOCHS, "augment": "none"},
}  # fmt: skip


class Trainer:
    """Trains random networks, one after the other."""

    def __init__(self, config: Mapping[str, Any], seed: int) -> None:
        import torch

        from nas.config import SearchConfig
        from nas.parts import assemble
        from nas.train.recipe import Recipe
        from nas.train.worker import Setting

        torch.set_num_threads(1)
        self.setting, self.recipe = Setting.open(config), Recipe.parse(config["recipe"])
        self.space, self.rng = assemble(SearchConfig.parse({"space": SPACE})).space, random.Random(seed)
        self.parts = parts_of(self.setting)

    def train(self) -> float:
        """The validation accuracy of the next random network that can be built."""
        from nas.errors import CandidateError

        while True:
            try:
                network = self.setting.blueprint(self.space.sample(self.rng)).build()
            except CandidateError:
                continue
            return train(network, self.parts, self.recipe)


def bare(until: float) -> int:
    """Two processes that train until the time is up; `until` is on the wall clock."""
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    processes = [context.Process(target=_bare_process, args=(done, seed, until)) for seed in range(PROCESSES)]
    for process in processes:
        process.start()
    counts = [done.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(counts)


def _bare_process(done: Any, seed: int, until: float) -> None:
    trainer, count = Trainer(CONFIG, seed), 0
    while True:
        trainer.train()
        if time.time() > until:
            break
        count += 1
    done.put(count)


def ray_class(until: float) -> int:
    """Ray Tune with a class trainable whose actors are reused, and Ray's own time budget."""
    from ray import tune

    from nas.runner.cluster import QUIET, environment

    class Reused(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.trainer = Trainer(CONFIG, config["seed"])

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def step(self) -> dict[str, Any]:
            return {"score": self.trainer.train(), "done": True}

    class Count(tune.Callback):
        done = 0

        def on_trial_result(self, *told: Any, **more: Any) -> None:
            self.done += time.time() <= until

    count = Count()
    with tempfile.TemporaryDirectory() as folder, environment(QUIET):
        tuner = tune.Tuner(
            tune.with_resources(Reused, {"cpu": 1}),
            param_space={"seed": tune.randint(0, 1_000_000)},
            tune_config=tune.TuneConfig(
                num_samples=MANY, max_concurrent_trials=PROCESSES, reuse_actors=True, time_budget_s=until - time.time()
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                name="bare",
                verbose=0,
                callbacks=[count],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
        return count.done


def ours(until: float) -> int:
    """`nas search`, its winner tested and exported."""
    import nas

    with tempfile.TemporaryDirectory() as folder:
        options = ["--space", SPACE, "--strategy", "random", "--no-proxies", "--no-cache", "--no-reference", "-q"]
        told = ["--epochs", str(EPOCHS), "--recipe", "augment=none", "--concurrency", str(PROCESSES)]
        left = ["--time", f"{until - time.time():.1f}s", "--out", f"{folder}/run"]
        command = [sys.executable, "-m", "nas.cli.main", "search", *options, *told, *left]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)  # 1 where no trial is complete
        return len(nas.load_run(Path(folder) / "run").history.complete)


SIDES: dict[str, Callable[[float], int]] = {
    "two bare processes": bare,
    "Ray Tune, reused class": ray_class,
    "nas": ours,
}


def play(side: str, seconds: float) -> tuple[int, float]:
    """Trials that a side finished in time, and the seconds after which its process had ended."""
    begun = time.time()
    command = [sys.executable, __file__, "--side", side, "--until", str(begun + seconds)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(json.loads(said.splitlines()[-1])), time.time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(SIDES[given.side](given.until)))
        return
    found: dict[str, list[tuple[int, float]]] = {side: [] for side in SIDES}
    for number in range(given.rounds):
        for side in list(SIDES)[:: 1 if number % 2 == 0 else -1]:
            found[side].append(play(side, given.seconds))
    table = Table("side", "trials", "of bare", "returned after, s", title=f"{given.seconds:g} s from the call")
    for side, rounds in found.items():
        shares = [mine[0] / max(bare[0], 1) for mine, bare in zip(rounds, found["two bare processes"], strict=True)]
        trials, seconds = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.add_row(side, f"{trials:g}", f"{statistics.median(shares):.2f}", f"{seconds:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
