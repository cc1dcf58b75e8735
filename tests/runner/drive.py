"""A search in a process of its own, for tests that kill it: drive.py FOLDER BUDGET PAUSE EPOCHS START SECONDS."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from acts import SCORE, Sampler, space_of

from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.runner.cluster import starting
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec

KINDS = (int, float, int, float, float)


def main(folder: Path, budget: int, pause: float, epochs: int, start: float, seconds: float) -> None:
    """Starts the search, or goes on with it; says why it ended and how many seconds were left."""
    deadline = time.monotonic() + seconds
    space = space_of("work", sizes=1000)
    exists = (folder / "ledger.journal").exists()
    with (
        Ledger.open(folder, space) if exists else Ledger.create(folder, space, [SCORE]) as ledger,
        starting(Resources(2)) as cluster,
    ):
        strategy = ("sampler", Sampler())
        controller = Controller(ledger=ledger, strategy=strategy, check=lambda _: {}, budget=budget, deadline=deadline)
        config = {"run": str(folder), "pause": pause, "epochs": epochs, "start": start}
        done = run_ray(controller, WorkerSpec("fake_workers:Worker", config), Resources(2), cluster=cluster())
    print(done.cause, int(controller.seconds_left), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(kind(said) for kind, said in zip(KINDS, sys.argv[2:], strict=True)))
