"""What the driver spends on a trial early and late in a long search, in one run: it must not grow with the trials.

    python benchmarks/events.py [--trials 2000] [--epochs 2]

Trials are trivial and run in this process: asked for, reported, ended, written to the ledger, and shown. Processor
time, one core, ms: means over the second and the last tenth of the trials, and their ratio.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from overhead import Random, space
from rich.console import Console

from nas.cli.lines import JsonView, LineView
from nas.cli.live import TableView
from nas.cli.watch import View
from nas.controller.checkpoints import Checkpoints
from nas.controller.controller import Controller
from nas.controller.history import History, Objective, Trial
from nas.controller.job import Done, Job
from nas.controller.ledger import Ledger

OBJECTIVES = (Objective("score", "score", "maximize"), Objective("cost", "cost", "minimize"))


class DrawnTable(TableView):
    """A table that is drawn whenever a trial ends, and by nobody else."""

    def __init__(self, out: Console) -> None:
        super().__init__(out)
        self.close()

    def __call__(self, trial: Trial, history: History) -> None:
        super().__call__(trial, history)
        if trial.finished:
            with self._out.capture():
                self._out.print(self)


def views() -> dict[str, View]:
    """Every way to show a search, on nothing."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120, height=40)
    return {
        "lines": LineView(Console(file=io.StringIO())),
        "JSON": JsonView(io.StringIO()),
        "table": DrawnTable(terminal),
    }


def milliseconds(objectives: Sequence[Objective], view: View, trials: int, epochs: int) -> list[float]:
    """Of each trial of a search."""
    times, rng = [], random.Random(0)
    with tempfile.TemporaryDirectory() as folder, Ledger.create(Path(folder, "run"), space(), objectives) as ledger:
        checkpoints = Checkpoints(Path(folder))

        def watch(trial: Trial, history: History) -> None:
            checkpoints.see(trial, history)
            checkpoints.drop()
            view(trial, history)

        controller = Controller(
            ledger=ledger, strategy=("random", Random()), check=lambda _: {"params": 1}, budget=trials, watcher=watch
        )
        begin = time.process_time()
        while not isinstance(job := controller.next(), Done):
            if isinstance(job, Job):
                for epoch in range(1, epochs + 1):
                    metrics = {
                        "epoch": epoch,
                        "epochs": epochs,
                        "score": rng.random(),
                        "cost": rng.random(),
                        "seconds": 1.0,
                    }
                    controller.report(job.number, metrics)
                controller.finish(job.number, "complete")
                times.append(1000 * (time.process_time() - begin))
                begin = time.process_time()
    view.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    tenth = args.trials // 10
    print(f"{args.trials} trials of {args.epochs} epochs, ms a trial")
    print(f"{'objectives':12}{'shown as':10}{'early':>8}{'late':>8}{'ratio':>8}")
    for count in (1, 2):
        for name, view in views().items():
            times = milliseconds(OBJECTIVES[:count], view, args.trials, args.epochs)
            early, late = (sum(part) / tenth for part in (times[tenth : 2 * tenth], times[-tenth:]))
            print(f"{count:<12}{name:10}{early:8.2f}{late:8.2f}{late / early:8.2f}")


if __name__ == "__main__":
    main()
