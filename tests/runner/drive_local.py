"""A search in a process of its own, without Ray or torch: drive_local.py FOLDER BUDGET PAUSE EPOCHS."""

from __future__ import annotations

import sys
from pathlib import Path

from acts import SCORE, Sampler, space_of

from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.runner.local import run_local
from nas.runner.spec import WorkerSpec


def main(folder: Path, budget: int, pause: float, epochs: int) -> None:
    """Starts the search, or goes on with it; says why it ended."""
    space = space_of("work", sizes=1000)
    exists = (folder / "ledger.journal").exists()
    with Ledger.open(folder, space) if exists else Ledger.create(folder, space, [SCORE]) as ledger:
        controller = Controller(ledger=ledger, strategy=("sampler", Sampler()), check=lambda _: {}, budget=budget)
        done = run_local(
            controller, WorkerSpec("fake_workers:Worker", {"run": str(folder), "pause": pause, "epochs": epochs})
        )
    print(done.cause, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
