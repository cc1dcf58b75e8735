"""Workers without torch, made by runners in the tests and benchmarks from "tests.runner.fake_workers:<name>"."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class Worker:
    """Trains nothing; the architecture's decision "act" says what happens. Its state is a file, as a checkpoint is."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        if config.get("broken"):
            raise RuntimeError("no data here")
        time.sleep(config.get("start", 0.0))
        self.run = Path(config["run"]) if "run" in config else None
        self.epochs = config.get("epochs", 1)
        self.pause = config.get("pause", 0.0)
        self.config = config
        self.trials = 0

    def trial(self, job: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        decisions = job["architecture"]["decisions"]
        act = decisions.get("act", "")
        self.trials += 1
        file = self.run / "checkpoints" / f"{job['number']}.json" if self.run else None
        done = json.loads(file.read_text()) if file and job["resume"] and file.exists() else 0
        for epoch in range(done + 1, self.epochs + 1):
            time.sleep(self.pause)
            if act == "raise" and epoch == 2:
                raise ValueError("shapes differ")
            if act == "memory":
                raise MemoryError("out of memory")
            if act == "die" and epoch == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            if file:
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(epoch))
            score = (
                float("nan") if act == "nan" else sum(v for v in decisions.values() if isinstance(v, int)) + epoch / 100
            )
            yield {
                "epoch": epoch,
                "epochs": self.epochs,
                "score": score,
                "seconds": epoch * self.pause,
                "pid": os.getpid(),
                "trained": self.trials,
                "threads": self.config.get("threads", 0),
                "omp": int(os.environ.get("OMP_NUM_THREADS", 0)),
            }

    def close(self) -> None:
        pass
