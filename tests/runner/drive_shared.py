"""Two searches on a Ray that believes in a GPU: one whose trials say how little they need, one without: FOLDER."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from acts import SCORE, Sampler, space_of

from nas.controller.controller import Controller
from nas.controller.history import History, Trial
from nas.controller.ledger import Ledger
from nas.runner.cluster import OBJECT_STORE_BYTES
from nas.runner.ray_runner import run_ray
from nas.runner.sharing import FIRST
from nas.runner.spec import Resources, WorkerSpec

SAYS = {"gpu_memory": 0.1, "gpu_busy": 0.3}


def search(folder: Path, resources: Resources, **config: Any) -> dict[str, Any]:
    running: list[tuple[int, int]] = []

    def watch(trial: Trial, history: History) -> None:
        done = sum(trial.finished for trial in history.trials)
        running.append((done, len(history.trials) - done))

    with Ledger.create(folder, space_of("work", sizes=1000), [SCORE]) as ledger:
        given: dict[str, Any] = {"strategy": ("sampler", Sampler()), "check": lambda _: {}, "budget": 12}
        controller = Controller(ledger=ledger, watcher=watch, **given)
        done = run_ray(controller, WorkerSpec("fake_workers:Worker", {"run": str(folder), **config}), resources)
        return {
            "states": [trial.state for trial in ledger.trials],
            "first": max(many for finished, many in running if finished < FIRST),
            "most": max(many for _, many in running),
            "warnings": done.warnings,
        }


if __name__ == "__main__":
    ray.init("local", num_cpus=4, num_gpus=1, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False)
    out = Path(sys.argv[1])
    print(json.dumps(search(out / "shared", Resources(None, 1, 1, shares_gpus=True), says=SAYS, pause=0.5)), flush=True)
    print(json.dumps(search(out / "idle", Resources(2))), flush=True)
    ray.shutdown()
