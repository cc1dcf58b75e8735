"""How fast the space core is: architectures sampled, digested and mutated a second, beside networkx's WL hash.

    python benchmarks/space_core.py [--count 4000] [--python]

One core, best of five rounds. Samples are whole networks with their graphs built, digests are uncached (each of a fresh
architecture). networkx's Weisfeiler-Lehman hash gets the cell of `cell_cnn` alone, ready as a DiGraph.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections.abc import Callable

import networkx as nx
from rich.console import Console
from rich.table import Table

import nas
from nas.errors import SpaceError
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space import fingerprint
from nas.space.space import Space
from nas.testing.case import IMAGE, TASKS

ROUNDS = 5


def rate(work: Callable[[], int]) -> float:
    """Things a second."""
    begin = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - begin)


def measure(space: Space, count: int) -> tuple[float, float, float]:
    """Samples, digests and mutations a second."""
    rng = random.Random(0)
    best = (0.0, 0.0, 0.0)
    for _ in range(ROUNDS):
        fresh: list[nas.Architecture] = []

        def sample(made: list[nas.Architecture] = fresh) -> int:
            made.extend(space.sample(rng) for _ in range(count))
            return count

        def digest(made: list[nas.Architecture] = fresh) -> int:
            return len([architecture.digest for architecture in made[: count // 4]])

        def mutate() -> int:
            for _ in range(count):
                space.mutate(space.reference, rng)
            return count

        sampled, digested, mutated = rate(sample), rate(digest), rate(mutate)
        best = max(best[0], sampled), max(best[1], digested), max(best[2], mutated)
    return best


def weisfeiler_lehman(space: Space, count: int) -> float:
    """networkx's hash of the cell alone, each edge's block as the label of a node, graphs made beforehand."""
    rng = random.Random(0)
    drawn = []
    for _ in range(count // 10):
        graph: nx.DiGraph[str] = nx.DiGraph()
        for label, name in space.sample(rng).decisions.items():
            graph.add_node(label, label=str(name))
            graph.add_edges_from([(f"v{label[-2]}", label), (label, f"v{label[-1]}")])
        for v in range(4):
            graph.add_node(f"v{v}", label="sum")
        drawn.append(graph)

    def work() -> int:
        return len([nx.weisfeiler_lehman_graph_hash(graph, node_attr="label", iterations=3) for graph in drawn])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # networkx says once that its hash of directed graphs has changed
        return max(rate(work) for _ in range(ROUNDS))


def spaces(registry: Registry) -> list[Space]:
    """Every space, for the first task of the conformance kit that it takes; the cell also five times a stage."""
    found = [build_space(registry, "cell_cnn:cells=5", IMAGE)]
    for entry in registry.all("space"):
        for task in TASKS:
            try:
                found.append(build_space(registry, entry.name, task))
                break
            except SpaceError:
                continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--python", action="store_true", help="digests without what is compiled")
    args = parser.parse_args()
    count: int = args.count
    if args.python:
        fingerprint.kernel = None
    registry = nas.create_manager().registry
    said = "C" if fingerprint.kernel else "Python"
    table = Table("space", "size", "samples/s", "digests/s", "mutations/s", title=f"space core; digests by {said}")
    for space in spaces(registry):
        table.add_row(space.name, f"{space.size:,}", *(f"{r:,.0f}" for r in measure(space, count)))
    cell = build_space(registry, "cell_cnn", IMAGE)
    console = Console(width=120)
    console.print(table)
    console.print(f"networkx Weisfeiler-Lehman hash of the cell alone: {weisfeiler_lehman(cell, count):,.0f}/s")
    classes = len({architecture.digest for architecture in cell.enumerate()})
    console.print(f"cell_cnn: {cell.size:,} label assignments, {classes:,} digests")


if __name__ == "__main__":
    main()
