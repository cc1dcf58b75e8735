"""How long a candidate is checked on the meta device, before it may take a worker.

    python benchmarks/checks.py [--count 40] [SPACE[:K=V,..] ...]

Milliseconds of processor time, one core: of random candidates each as the first that a process ever checks, when no
block is known, and of the same number in a search, where blocks that others had are known. Last the check of the space
itself before a search, when no block is known: most of it a search has not to do again.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import time

from rich.console import Console
from rich.table import Table

import nas
from nas.errors import CandidateError, SpaceError
from nas.model import blueprint
from nas.model.fit import check_blocks
from nas.model.settle import forget
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.space import Space
from nas.testing.case import TASKS

DECODER = "decoder:extended=true"


def spaces(registry: Registry, names: list[str]) -> list[tuple[Space, nas.TaskInfo]]:
    """Every space, or those named, with each task of the conformance kit that it takes."""
    found = []
    for name in names or [*(entry.name for entry in registry.all("space")), DECODER]:
        for task in TASKS:
            try:
                found.append((build_space(registry, name, task), task))
            except SpaceError:
                continue
    return found


def checked(space: Space, task: nas.TaskInfo, registry: Registry, count: int, *, cold: bool) -> list[float]:
    """Milliseconds of each of `count` checks."""
    rng = random.Random(0)
    forget()
    times = []
    for _ in range(count):
        candidate = space.sample(rng)
        if cold:
            forget()
        begin = time.process_time()
        with contextlib.suppress(CandidateError):  # to be refused takes its time too
            blueprint(candidate, task, registry)
        times.append(1000 * (time.process_time() - begin))
    return times


def space_checked(space: Space, task: nas.TaskInfo, registry: Registry) -> float:
    """Milliseconds that the check of the space itself takes."""
    forget()
    begin = time.process_time()
    check_blocks(space, task, registry)
    return 1000 * (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*")
    parser.add_argument("--count", type=int, default=40)
    said = parser.parse_args()
    registry = nas.create_manager().registry
    columns = ("space", "task", "nothing known: median", "worst", "in a search: median", "worst", "the space")
    table = Table(*columns, title="check of a candidate on the meta device, ms")
    for space, task in spaces(registry, said.spaces):
        checked(space, task, registry, 2, cold=True)  # imports, and PyTorch's own first times
        cold, warm = (checked(space, task, registry, said.count, cold=cold) for cold in (True, False))
        whole = statistics.median(space_checked(space, task, registry) for _ in range(3))
        numbers = (statistics.median(cold), max(cold), statistics.median(warm), max(warm), whole)
        table.add_row(space.name, task.name, *(f"{number:.1f}" for number in numbers))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
