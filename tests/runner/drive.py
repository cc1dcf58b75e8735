"""A search in a process of its own, for tests that kill it: drive.py FOLDER BUDGET PAUSE EPOCHS."""

from __future__ import annotations

import sys
from pathlib import Path

from acts import SCORE, Sampler, space_of

from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec


def main(folder: Path, budget: int, pause: float, epochs: int) -> None:
    """Starts the search, or goes on with it."""
    space = space_of("work", sizes=1000)
    exists = (folder / "ledger.journal").exists()
    with Ledger.open(folder, space) if exists else Ledger.create(folder, space, [SCORE]) as ledger:
        controller = Controller(ledger=ledger, strategy=("sampler", Sampler()), check=lambda _: {}, budget=budget)
        config = {"run": str(folder), "pause": pause, "epochs": epochs}
        print(run_ray(controller, WorkerSpec("fake_workers:Worker", config), Resources(2)).cause, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
