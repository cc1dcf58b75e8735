"""Candidates an hour on one GPU: 2, 4 and 8 trials at a time against one, and a search that finds the number itself.

    python benchmarks/gpu.py [--task FILE] [--trials 32] [--epochs 3]

FILE is by default ``../shared/data/sets/fashion_mnist_12k.npz`` beside the repository, 10,000 images of clothes that
each worker holds on the GPU. All sides train the same networks of `cell_cnn`; each worker's first one, and with it
start-up, is not counted. Needs a GPU, as many cores as trials at a time, and to tell how busy it was the extra `gpu`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from in_order import distinct, train_all
from rich.console import Console
from rich.table import Table

import nas
from nas.config import SearchConfig
from nas.parts import Parts, absolute, assemble
from nas.runner.sharing import Use, share, use_text, uses
from nas.runner.spec import Resources, cores
from nas.running import worker_config

FILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "sets" / "fashion_mnist_12k.npz"
AT_A_TIME = (1, 2, 4, 8)


def rate(parts: Parts, networks: Sequence[nas.Architecture], many: int) -> tuple[float, list[Use]]:
    """Candidates an hour with `many` at a time, and what they took of the GPU."""
    resources = Resources(many, 1.0, parts.config.gpus / many)
    ended, trials = train_all(networks, parts, worker_config(Path(), parts.config), resources)
    return 3600 * (len(ended) - many) / (ended[-1] - ended[many - 1]), uses(trials)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--task", default=str(FILE))
    asked.add_argument("--trials", type=int, default=32)
    asked.add_argument("--epochs", type=int, default=3)
    said = asked.parse_args()
    import torch

    if not torch.cuda.is_available():
        print(f"expected a GPU to measure, and PyTorch {torch.__version__} finds none here", file=sys.stderr)
        sys.exit(2)
    options = {"task": said.task, "epochs": said.epochs, "gpus_per_trial": 1}
    parts = assemble(absolute(SearchConfig.parse(options)))
    networks = distinct(parts, said.trials)
    table = Table("at a time", "candidates an hour", "against one", "GPU", title=torch.cuda.get_device_name())
    base, first = 0.0, list[Use]()
    for many in AT_A_TIME:
        if many > cores():
            table.add_row(str(many), f"needs {many} cores, there are {cores()}")
            continue
        found, used = rate(parts, networks, many)
        base, first = base or found, first or used
        table.add_row(str(many), f"{found:.0f}", f"{found / base:.2f}", use_text(used))
    Console().print(table)
    print(f"by what the first trials took, auto gives each {share(first)} of a GPU")
    from nas.train.worker import Worker

    with tempfile.TemporaryDirectory() as folder:
        home = Worker(worker_config(Path(folder), parts.config)).data.y.device
        begun = time.perf_counter()
        more = {"trials": said.trials, "gpus_per_trial": "auto", "cache": False}
        run = nas.search(**{**options, **more}, out=Path(folder) / "run")
        seconds = time.perf_counter() - begun
        print(
            f"a search of {said.trials} with auto, data on {home}: {seconds:.0f} s with start and end; "
            f"{use_text(uses(run.trials))}"
        )


if __name__ == "__main__":
    main()
