"""What a search costs beside its training: 100 trivial trials, side by side in one run.

    python benchmarks/overhead.py [--trials 100] [--concurrency 2] [--rounds 3]

Bare Ray Tune is a class trainable with reused actors, the same resources and the same number of trials at a time, and
no loggers. Targets: our runner at most 1.1 times bare Ray Tune, the local runner at most 10 ms a trial.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune

from nas.controller.controller import Controller
from nas.controller.history import History, Objective
from nas.controller.ledger import Ledger
from nas.runner.cluster import QUIET, Cluster, environment
from nas.runner.local import run_local
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec
from nas.space.architecture import Architecture
from nas.space.graph import Signature, chain, choice
from nas.space.space import Space


class TrivialWorker:
    """Trains nothing."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        pass

    def trial(self, job: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        yield {"epoch": 1, "epochs": 1, "score": float(job["number"]), "seconds": 0.0}

    def close(self) -> None:
        pass


class Bare(tune.Trainable):
    """The same for Ray Tune alone."""

    def setup(self, config: dict[str, Any]) -> None:
        pass

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        return {"score": float(self.config["number"]), "done": True}


class Random:
    """The cheapest strategy."""

    def propose(self, history: History, rng: Any) -> Architecture:
        return history.space.sample(rng)


def space() -> Space:
    """As many decisions as a small cell space has."""
    block = Signature("block", ("vector",), parameters={"a": 0, "b": 0})
    nodes = {f"n{i}": block(a=choice(f"a{i}", *range(5)), b=choice(f"b{i}", *range(5))) for i in range(4)}
    return Space(chain(**nodes))


def ours(trials: int, run: Callable[[Controller, WorkerSpec], object]) -> float:
    """Seconds of a search, ledger included."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Ledger.create(Path(folder, "run"), space(), [Objective("score", "score", "maximize")]) as ledger:
            strategy = ("random", Random())
            controller = Controller(ledger=ledger, strategy=strategy, check=lambda _: {"params": 1}, budget=trials)
            run(controller, WorkerSpec("overhead:TrivialWorker"))
            assert len(controller.history.complete) == trials
        return time.perf_counter() - started


def bare(trials: int, concurrency: int) -> float:
    """Seconds of Ray Tune alone."""
    with tempfile.TemporaryDirectory() as folder, environment(QUIET):
        started = time.perf_counter()
        tuner = tune.Tuner(
            tune.with_resources(Bare, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=concurrency, reuse_actors=True),
            run_config=tune.RunConfig(
                name="bare",
                storage_path=folder,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        results = tuner.fit()
        assert len(results) == trials
        assert results.num_errors == 0
        return time.perf_counter() - started


def with_start(measured: Callable[[Cluster], float], resources: Resources) -> tuple[float, float]:
    """Seconds without and with the start and stop of Ray."""
    started = time.perf_counter()
    with Cluster(resources) as cluster:
        inner = measured(cluster)
    return inner, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.ERROR)
    resources = Resources(args.concurrency)
    sides: dict[str, Callable[[Cluster], float]] = {
        "Ray Tune, reused class": lambda _: bare(args.trials, args.concurrency),
        "nas on Ray": lambda cluster: ours(args.trials, partial(run_ray, resources=resources, cluster=cluster)),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in [*sides, "nas in process"]}
    for turn in range(args.rounds):
        for name, side in list(sides.items())[:: 1 if turn % 2 else -1]:
            times[name].append(with_start(side, resources))
        seconds = ours(args.trials, run_local)
        times["nas in process"].append((seconds, seconds))
    report(args, times)


def report(args: argparse.Namespace, times: dict[str, list[tuple[float, float]]]) -> None:
    print(f"{args.trials} trivial trials, {args.concurrency} at a time, {args.rounds} rounds, Ray {ray.__version__};")
    print("medians; ratios are of times within a round")
    print(f"{'':24}{'s':>8}{'ms/trial':>10}{'/ bare':>8}{'s with start':>14}{'/ bare':>8}")
    bare_times = next(iter(times.values()))
    for name, rounds in times.items():
        inner, whole = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = [
            statistics.median(mine[i] / theirs[i] for mine, theirs in zip(rounds, bare_times, strict=True))
            for i in (0, 1)
        ]
        print(f"{name:24}{inner:8.2f}{inner / args.trials * 1e3:10.1f}{ratios[0]:8.2f}{whole:14.2f}{ratios[1]:8.2f}")


if __name__ == "__main__":
    main()
