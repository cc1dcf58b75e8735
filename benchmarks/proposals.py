"""Processor time of a proposal after many finished trials, for every space.

    python benchmarks/proposals.py [--trials 300] [--count 20] [--strategy auto] [SPACE[:K=V,..] ...]

The finished trials are random networks and mutations of them; their values are made up. Each proposal is taken into the
history before the next, so that what a strategy keeps of earlier ones counts for it. Costs are measured on the meta
device, as in a search.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

import nas
from nas.controller.history import History, Measure, Objective, Trial
from nas.errors import CandidateError, SpaceError
from nas.model.measure import Measuring
from nas.plugin.build import build_space, build_strategy
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.space import Space
from nas.testing.case import TASKS


def spaces(registry: Registry, names: list[str]) -> Iterator[tuple[str, Space, nas.TaskInfo]]:
    """Every space, or those named, with the first task of the conformance kit that it takes."""
    for name in names or [entry.name for entry in registry.all("space")]:
        for task in TASKS:
            try:
                yield name, build_space(registry, name, task), task
            except SpaceError:
                continue
            break


def trial(number: int, made: Architecture, rng: random.Random) -> Trial:
    """A finished trial with a made-up value."""
    return Trial(number, "complete", made, made.digest, (rng.random(),))


def finished(space: Space, measure: Measure, count: int, rng: random.Random) -> list[Trial]:
    """As many trials as there are different networks, `count` at most."""
    found: dict[str, Trial] = {}
    for attempt in range(20 * count):
        if len(found) == count:
            break
        known = list(found.values())
        made = space.mutate(rng.choice(known).architecture, rng) if known and attempt % 2 else space.sample(rng)
        if made.digest in found:
            continue
        try:
            measure(made)
        except CandidateError:
            continue
        found[made.digest] = trial(len(found), made, rng)
    return list(found.values())


def times(space: Space, task: nas.TaskInfo, registry: Registry, said: argparse.Namespace) -> list[float]:
    """Milliseconds of each of `--count` proposals, after one that is not counted."""
    rng = random.Random(0)
    measure = Measuring(task, registry).quick
    strategy = build_strategy(registry, said.strategy)
    trials = finished(space, measure, said.trials, rng)
    found = []
    for _ in range(said.count + 1):
        history = History(space, (Objective("value", "value", "maximize"),), tuple(trials), None, measure)
        begin = time.process_time()
        made = strategy.propose(history, rng)
        found.append(1000 * (time.process_time() - begin))
        trials.append(trial(len(trials), made, rng))
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--strategy", default="auto")
    said = parser.parse_args()
    registry = nas.create_manager().registry
    title = f"a proposal of {said.strategy} after {said.trials} trials, ms of processor time"
    table = Table("space", "median", "90th percentile", "longest", title=title)
    for name, space, task in spaces(registry, said.spaces):
        found = times(space, task, registry, said)
        table.add_row(name, *(f"{np.percentile(found, q):.0f}" for q in (50, 90, 100)))
    Console().print(table)


if __name__ == "__main__":
    main()
