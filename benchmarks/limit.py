"""How many trials a second one driver can start, and where its time goes: trivial trials, 2, 16 and 64 at a time.

    python benchmarks/limit.py [--concurrency 2 16 64] [--trials 200]

Trials get a fraction of a core each, so that many run side by side on a small machine, and train nothing. Counted are
the last `--trials` of each search, when every worker has long been there. The strategy is random, so that its share is
what the rest costs at least; what `auto` takes for a proposal is measured by `proposals.py` and comes on top. Bare Ray
Tune is a class trainable with reused actors, the same number at a time.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from overhead import Bare, Random, space
from ray import tune

from nas.controller.controller import Controller
from nas.controller.history import Objective
from nas.controller.ledger import Ledger
from nas.runner.cluster import QUIET, Cluster, environment
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec, cores

WARM = 4
"""Trials a place before it counts."""
GPUS = 1000
LINE = "{:>9}" + "{:>11}" * 6


class Clock:
    """Seconds that calls took, by name, and when each trial was proposed."""

    def __init__(self) -> None:
        self.spent = {"strategy": 0.0, "ledger": 0.0, "controller": 0.0}
        self.begun: list[tuple[float, dict[str, float]]] = []

    def note(self) -> None:
        self.begun.append((time.perf_counter(), dict(self.spent)))

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                self.spent[name] += time.perf_counter() - started

        return run

    def last(self, trials: int) -> dict[str, float]:
        """Milliseconds a trial, of the last `trials`; the controller's without those of strategy and ledger."""
        (first, before), (last, after) = self.begun[-1 - trials], self.begun[-1]
        found = {name: 1000 * (after[name] - before[name]) / trials for name in after}
        found["controller"] -= found["strategy"] + found["ledger"]
        return {**found, "all": 1000 * (last - first) / trials}


def ours(trials: int, resources: Resources, clock: Clock) -> None:
    """A search of so many trivial trials."""
    strategy = Random()
    with (
        Cluster(resources) as cluster,
        tempfile.TemporaryDirectory() as folder,
        Ledger.create(Path(folder, "run"), space(), [Objective("score", "score", "maximize")]) as ledger,
    ):
        for name in ("start", "report", "finish"):
            setattr(ledger, name, clock.timed("ledger", getattr(ledger, name)))
        random = strategy.propose
        strategy.propose = clock.timed("strategy", random)  # type: ignore[method-assign]
        controller = Controller(
            ledger=ledger, strategy=("random", strategy), check=lambda _: {"params": 1}, budget=trials
        )
        for name in ("next", "report", "finish"):
            setattr(controller, name, clock.timed("controller", getattr(controller, name)))
        timed = controller.next

        def noted() -> Any:
            found = timed()
            clock.note()
            return found

        controller.next = noted  # type: ignore[method-assign]
        run_ray(controller, WorkerSpec("overhead:TrivialWorker"), resources, cluster=cluster)


def bare(trials: int, resources: Resources) -> float:
    """Milliseconds a trial of Ray Tune alone."""
    begun: list[float] = []

    class Started(tune.Callback):
        def on_trial_start(self, *told: Any, **more: Any) -> None:
            begun.append(time.perf_counter())

    places = resources.concurrency or 1
    with Cluster(resources), tempfile.TemporaryDirectory() as folder, environment(QUIET):
        tune.Tuner(
            tune.with_resources(Bare, {"cpu": resources.cpus_per_trial}),
            param_space={"number": tune.grid_search(list(range(WARM * places + trials)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=places, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                callbacks=[Started()],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    return 1000 * (begun[-1] - begun[-1 - trials]) / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[2, 16, 64])
    parser.add_argument("--trials", type=int, default=200)
    said = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.ERROR)
    print(f"trivial trials, {cores()} cores, Ray {ray.__version__}; milliseconds a trial")
    print(LINE.format("at a time", "trials/s", "all", "strategy", "ledger", "controller", "Ray alone"))
    for places in said.concurrency:
        resources, clock = Resources(places, cpus_per_trial=cores() / places), Clock()
        ours(WARM * places + said.trials, resources, clock)
        found, alone = clock.last(said.trials), bare(said.trials, resources)
        rate = 1000 / found["all"]
        shares = (f"{found[name]:.2f}" for name in ("all", "strategy", "ledger", "controller"))
        print(LINE.format(places, f"{rate:.0f}", *shares, f"{alone:.1f}"), flush=True)
    print(f"{GPUS} GPUs are all busy where a trial takes {GPUS / rate:.0f} s or more, the strategy's time not counted.")


if __name__ == "__main__":
    main()
