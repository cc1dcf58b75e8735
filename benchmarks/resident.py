"""Whether driver and workers keep their memory flat: resident memory over 2,000 trivial and 200 real trials on Ray.

    python benchmarks/resident.py [--trivial 2000] [--real 200] [--plot results/resident.png]

The trivial trials are those of `overhead.py`; the real ones train networks of `cell_cnn` on scikit-learn's digits for
one epoch with the default strategy. Warm-up is the first tenth. Growth is the median of the last twentieth over the
median of the twentieth after the warm-up. The plot needs the extra 'plots'.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import psutil
from overhead import Random, space
from rich.console import Console
from rich.table import Table

import nas
from nas.controller.controller import Controller
from nas.controller.history import History, Objective, Trial
from nas.controller.ledger import Ledger
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec

PLACES = 2
Curves = dict[str, list[tuple[int, float]]]


class Watch:
    """Resident megabytes of this process and of Ray's workers, `samples` times over so many trials."""

    def __init__(self, trials: int, samples: int = 400) -> None:
        self.curves: Curves = defaultdict(list)
        self._every = max(1, trials // samples)
        self._done = 0

    def __call__(self, trial: Trial, history: History) -> None:
        if not trial.finished:
            return
        self._done += 1
        if self._done % self._every:
            return
        self._add("driver", psutil.Process().memory_info().rss)
        busy = [child for child in psutil.Process().children(recursive=True) if _is_worker(child)]
        if busy:
            self._add("largest worker", max(_resident(child) for child in busy))

    def _add(self, name: str, size: float) -> None:
        self.curves[name].append((self._done, size / 2**20))


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("ray::") and "IDLE" not in process.name()
    except psutil.Error:
        return False


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def trivial(trials: int) -> Curves:
    """Nothing is trained: what the search itself keeps."""
    watch = Watch(trials)
    objectives = [Objective("score", "score", "maximize")]
    with tempfile.TemporaryDirectory() as folder, Ledger.create(Path(folder, "run"), space(), objectives) as ledger:
        controller = Controller(
            ledger=ledger, strategy=("random", Random()), check=lambda _: {"params": 1}, budget=trials, watcher=watch
        )
        run_ray(controller, WorkerSpec("overhead:TrivialWorker"), Resources(PLACES))
    return watch.curves


def real(trials: int) -> Curves:
    """Networks are built and trained: what PyTorch and the worker keep."""
    watch = Watch(trials)
    with tempfile.TemporaryDirectory() as folder:
        options = {"trials": trials, "epochs": 1, "concurrency": PLACES, "cache": False}
        nas.search("cell_cnn:channels=8", "digits", out=Path(folder, "run"), watcher=watch, **options)
    return watch.curves


def growth(curve: list[tuple[int, float]]) -> tuple[float, float]:
    """Megabytes after the warm-up and at the end."""
    sizes = [size for _, size in curve]
    part = max(1, len(sizes) // 20)
    return median(sizes[2 * part : 3 * part]), median(sizes[-part:])


def plot(found: dict[str, Curves], to: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(10, 3.6), layout="constrained", squeeze=False)
    for place, (title, curves) in zip(axes[0], found.items(), strict=True):
        for name, curve in curves.items():
            place.plot(*zip(*curve, strict=True), label=name)
        place.set(title=title, xlabel="finished trials", ylabel="resident memory, MiB", ylim=(0, None))
        place.legend(frameon=False)
    figure.savefig(to, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trivial", type=int, default=2000)
    parser.add_argument("--real", type=int, default=200)
    parser.add_argument("--plot", type=Path)
    said = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    found: dict[str, Curves] = {}
    if said.trivial:
        found[f"{said.trivial} trivial trials"] = trivial(said.trivial)
    if said.real:
        found[f"{said.real} real trials"] = real(said.real)
    table = Table("what", "process", "after warm-up, MiB", "at the end, MiB", "growth")
    for title, curves in found.items():
        for name, curve in curves.items():
            warm, end = growth(curve)
            table.add_row(title, name, f"{warm:.0f}", f"{end:.0f}", f"{100 * (end / warm - 1):+.1f} %")
    Console(width=100).print(table)
    if said.plot:
        plot(found, said.plot)


if __name__ == "__main__":
    main()
