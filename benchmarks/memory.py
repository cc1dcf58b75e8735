"""The memory that a trial was foretold to take, of what it takes.

    python benchmarks/memory.py [--count 20] [--task NAME] [--examples 512] [SPACE[:K=V,..] ...]

Random candidates of each space are trained for a few steps, evaluated and written, each in forks of this process, with
the real loop, on made-up data and one thread; those whose loss is not finite are left out. *tensors* is the peak of
what PyTorch had allocated, by its profiler, on a GPU by its allocator; *process* the peak of resident memory, less what
there was before the network was made: with what libraries take for themselves and what the C library keeps of freed
memory.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import math
import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

import nas
from nas.errors import CandidateError, SpaceError
from nas.model import Blueprint, blueprint
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas.train.data import Data
from nas.train.loop import train
from nas.train.memory import MB, peak_bytes
from nas.train.recipe import Recipe
from nas.train.target import evaluation_batch, target_of
from nas.train.task import Arrays, ArrayTask
from nas.train.worker import faster_layout

SPACES = ("cell_cnn", "darts", "mobilenet", "recurrent_stack", "recurrent_cell", "encoder", "decoder")
STEPS = 2
Measure = Callable[[Callable[[], None]], float]
LONG = (
    TaskInfo("image", (Port("image", (3, 32, 32)),), 10),
    TaskInfo("sequence", (Port("sequence", (100, 16)),), 5),
    TaskInfo("tokens", (Port("tokens", (128,)),), 4, vocabulary=2000),
    TaskInfo("next_token", (Port("tokens", (128,)),), 2000, "token", vocabulary=2000),
)
"""Tasks of a usual size: with 64 pixels an example a network takes less than the code that trains it."""


def made_up(task: TaskInfo, count: int) -> ArrayTask:
    """A task with `count` examples of noise."""
    rng = np.random.default_rng(0)

    def input_of(port: Port) -> np.ndarray:
        if port.kind == "tokens":
            return rng.integers(0, task.vocabulary or 2, (count, *port.shape))
        return rng.standard_normal((count, *port.shape), dtype=np.float32)

    y = rng.integers(0, task.outputs, (count, *(task.input.shape if task.target == "token" else ())))
    arrays = Arrays(tuple(map(input_of, task.inputs)), y)
    return ArrayTask(task, arrays, lambda: arrays)


def peak(measure: Measure, plan: Blueprint, task: ArrayTask, recipe: Recipe, folder: Path) -> float:
    """The bytes that a few steps of training, an evaluation and a checkpoint take at their peak."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = evaluation_batch(task.info)
    arrays = task.train_arrays()
    data, validation = (
        Data(arrays.take(np.arange(min(count, len(arrays)))), device, batch)
        for count in (STEPS * recipe.batch_size, batch)
    )

    def run() -> None:
        network = faster_layout(plan.build().to(device), validation)
        for _ in train(network, data, validation, recipe, seed=0, target=target_of(task), file=folder / "checkpoint"):
            pass

    return measure(run)


def of_tensors(run: Callable[[], None]) -> float:
    """What PyTorch had allocated at the peak."""
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        run()
        return float(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return float(max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))))


def of_process(run: Callable[[], None]) -> float:
    """By what the process grew until its peak."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(name: str) -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024.0 * int(line.split()[1])


def forked(measure: Measure, *given: Any) -> float:
    """`peak` in a process of its own, whose memory nobody has used before."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the profiler says that it starts and stops
            os.write(write, repr(peak(measure, *given)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return float(said or "nan")


def candidates(space: Space, task: TaskInfo, registry: Registry, count: int) -> Iterator[Blueprint]:
    """The reference and random ones."""
    rng, found = random.Random(0), {space.reference.digest: space.reference}
    while len(found) < count:
        drawn = space.sample(rng)
        found.setdefault(drawn.digest, drawn)
    for architecture in found.values():
        try:
            yield blueprint(architecture, task, registry)
        except CandidateError:
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=SPACES)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--task", default="", choices=[info.name for info in LONG])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--examples", type=int, default=512, help="with few of them an evaluation is small")
    parser.add_argument("--lines", action="store_true", help="a line for each candidate")
    said = parser.parse_args()
    torch.set_num_threads(1)  # no pool of threads that a fork would lack
    registry = nas.create_manager().registry
    columns = ("space", "task", "candidates", "tensors MB", "foretold / tensors: 5 %", "50 %", "95 %", "within 1.5")
    table = Table(*columns, "process / tensors: 50 %", "95 %", title="memory of a trial at its peak")
    everything: list[tuple[float, float, float]] = []
    for name, info in ((name, info) for name in said.spaces for info in LONG if said.task in ("", info.name)):
        try:
            space = build_space(registry, name, info)
        except SpaceError:
            continue
        recipe = Recipe.parse({"epochs": 1, "batch_size": said.batch_size, "augment": "none"}, info)
        task = made_up(info, said.examples)
        found = []
        with tempfile.TemporaryDirectory() as folder:
            for plan in candidates(space, info, registry, said.count):
                given = (plan, task, recipe, Path(folder))
                foretold = float(peak_bytes(plan.costs, info, recipe, len(task.train)))
                found.append((foretold, forked(of_tensors, *given), forked(of_process, *given)))
                if said.lines:
                    print(
                        name, info.name, plan.architecture.digest[:8], *(f"{b / MB:.0f}" for b in found[-1]), flush=True
                    )
        found = [each for each in found if math.isfinite(sum(each))]
        everything += found
        table.add_row(name, info.name, *_row(found))
    table.add_row("all", "", *_row(everything))
    Console(width=150).print(table)


def _row(found: list[tuple[float, float, float]]) -> list[str]:
    ratios = sorted(foretold / tensors for foretold, tensors, _ in found)
    more = sorted(process / tensors for _, tensors, process in found)
    near = sum(1 / 1.5 <= ratio <= 1.5 for ratio in ratios) / len(ratios)
    middle = statistics.median(tensors for _, tensors, _ in found) / MB
    quantiles = [f"{_quantile(ratios, share):.2f}" for share in (0.05, 0.5, 0.95)]
    beyond = [f"{_quantile(more, share):.2f}" for share in (0.5, 0.95)]
    return [str(len(found)), f"{middle:.0f}", *quantiles, f"{near:.0%}", *beyond]


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]


if __name__ == "__main__":
    main()
