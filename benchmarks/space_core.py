"""How fast the space core is: architectures sampled, digested, mutated and written a second, beside networkx's WL hash.

    python benchmarks/space_core.py [--count 20000]

Every figure is the best of three rounds on one core. Samples are whole networks with their graphs built, digests are
uncached (each of a fresh architecture). networkx's Weisfeiler-Lehman hash gets the cell alone, ready as a DiGraph.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import networkx as nx
from rich.console import Console
from rich.table import Table

import nas
from nas.plugin.build import build_space
from nas.space.space import Space

TASK = nas.TaskInfo("cifar10", (nas.Port("image", (3, 32, 32)),), 10)


def darts_like() -> Space:
    """Eight cells of two kinds; each of four nodes takes two earlier values through one of eight blocks each."""
    b = nas.create_manager().registry.blocks
    kernels = (3, 5)
    blocks = [
        b.zero(),
        b.identity(),
        b.max_pool(kernel=3),
        b.avg_pool(kernel=3),
        *(b.separable_conv(kernel=k) for k in kernels),
        *(b.dilated_conv(kernel=k) for k in kernels),
    ]

    def cell(kind: str) -> nas.Graph:
        nodes: dict[str, tuple[nas.Block | nas.Graph | nas.Choice | nas.Repeat, object]] = {}
        for k in range(4):
            edges = {f"edge{i}": (nas.choice(f"{kind}/node{k}/edge{i}", *blocks), f"in{i}") for i in range(2)}
            pair = nas.graph(["in0", "in1"], {**edges, "sum": (b.add(), ("edge0", "edge1"))}, "sum")
            earlier = ["before", "last", *(f"node{j}" for j in range(k))]
            nodes[f"node{k}"] = (pair, nas.subset(f"{kind}/node{k}/inputs", earlier, 2))
        nodes["concat"] = (b.concat(), tuple(f"node{k}" for k in range(4)))
        return nas.graph(["before", "last"], nodes, "concat")

    normal, reduce = cell("normal"), cell("reduce")
    nodes: dict[str, tuple[nas.Block | nas.Graph | nas.Choice | nas.Repeat, object]] = {"stem": (b.conv(), "x")}
    last = ["stem", "stem"]
    for i in range(8):
        nodes[f"cell{i}"] = (reduce if i in (2, 5) else normal, tuple(last))
        last = [last[1], f"cell{i}"]
    nodes["head"] = (b.classifier(classes=10), last[1])
    return Space(nas.graph(["x"], nodes, "head"), inputs=["image"], name="darts-like")


def rate(work: Callable[[], int], rounds: int = 3) -> float:
    """Things a second, the best of some rounds."""
    best = 0.0
    for _ in range(rounds):
        begin = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - begin))
    return best


def measure(space: Space, count: int) -> list[float]:
    """Rates of sample, digest, mutate, and JSON there and back."""
    rng = random.Random(0)

    def sample() -> int:
        for _ in range(count):
            space.sample(rng)
        return count

    def digest() -> int:
        nonlocal fresh
        for architecture in fresh:
            _ = architecture.digest
        done, fresh = len(fresh), []
        return done

    def mutate() -> int:
        parent = space.reference
        for _ in range(count):
            space.mutate(parent, rng)
        return count

    def json_both_ways() -> int:
        text = space.reference.to_json()
        for _ in range(count // 20):
            nas.Architecture.from_json(text).to_json()
        return count // 20

    rates = [rate(sample)]
    best = 0.0
    for _ in range(3):
        fresh = [space.sample(rng) for _ in range(count // 4)]
        best = max(best, rate(digest, 1))
    return [*rates, best, rate(mutate), rate(json_both_ways)]


def weisfeiler_lehman(space: Space, count: int) -> float:
    """networkx's hash of the cell alone, each edge's block as the label of a node, graphs made beforehand."""
    rng = random.Random(0)
    drawn = []
    for _ in range(count // 10):
        decisions = space.sample(rng).decisions
        graph: nx.DiGraph[str] = nx.DiGraph()
        for label, name in decisions.items():
            i, j = label[-2], label[-1]
            graph.add_node(label, label=str(name))
            graph.add_edges_from([(f"v{i}", label), (label, f"v{j}")])
        for v in range(4):
            graph.add_node(f"v{v}", label="sum")
        drawn.append(graph)

    def work() -> int:
        for graph in drawn:
            nx.weisfeiler_lehman_graph_hash(graph, node_attr="label", iterations=3)
        return len(drawn)

    return rate(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    count = parser.parse_args().count
    registry = nas.create_manager().registry
    table = Table("space", "size", "samples/s", "digests/s", "mutations/s", "JSON both ways/s", title="space core")
    cells = [build_space(registry, f"cell_cnn:cells={n}", TASK) for n in (1, 5)]
    for space in [*cells, build_space(registry, "macro_cnn", TASK), darts_like()]:
        table.add_row(space.name, f"{space.size:.6g}", *(f"{r:,.0f}" for r in measure(space, count)))
    console = Console(width=120)
    console.print(table)
    console.print(f"networkx Weisfeiler-Lehman hash of the cell alone: {weisfeiler_lehman(cells[0], count):,.0f}/s")
    classes = len({architecture.digest for architecture in cells[0].enumerate()})
    console.print(f"cell_cnn: {cells[0].size:,} label assignments, {classes:,} digests")


if __name__ == "__main__":
    main()
