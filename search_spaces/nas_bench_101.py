"""NAS-Bench-101 (Ying et al., ICML 2019): a cell of at most 7 vertices, 9 edges and three operations, used nine times.

A vertex adds its inputs, those from the cell's input through a convolution; the output lays vertices side by side, so
that each is `channels` over their number wide (rounded down, where the paper evens it out). First comes how many inputs
each vertex and the output take, in 192 ways with at most 9 edges, then which, then the operations: 17,679,364
architectures, among them all 423,624 published cells. Vertices that nothing uses drop out of networks and digests.
"""

from collections.abc import Iterator
from itertools import product

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, Graph, chain, choice, graph, repeat, subset
from nas.space.ports import TaskInfo
from nas.space.space import Space


def nas_bench_101(b: Blocks, task: TaskInfo, *, channels: int = 128, cells: int = 3, vertices: int = 7) -> Space:
    """A cell that is any graph of 7 vertices and at most 9 edges, as published: 128 channels, 3 x 3 cells."""
    ops = {"conv1x1": b.conv(kernel=1), "conv3x3": b.conv(kernel=3), "maxpool3x3": b.max_pool(kernel=3)}

    def cell(width: int, degrees: tuple[int, ...], last: int, skips: bool) -> Graph:
        nodes: dict[str, tuple[Element, object]] = {}
        inner, project = [f"v{j + 1}" for j in range(len(degrees))], b.conv(kernel=1, channels=width // max(last, 1))
        for j, degree in enumerate(degrees, start=1):
            nodes[f"x{j}"] = (project, "x")
            nodes[f"sum{j}"] = (b.add(), subset(f"v{j}/inputs{degree}", [f"x{j}", *inner[: j - 1]], degree))
            nodes[f"v{j}"] = (choice(f"v{j}/op", **ops), f"sum{j}")
        if last:
            join = b.concat() if last > 1 else b.add()
            nodes["joined"] = (join, subset(f"output/inputs{last}of{len(inner)}", inner, last))
        if skips:
            nodes["skip"] = (b.conv(kernel=1, channels=width // max(last, 1) * max(last, 1)), "x")
        return graph(["x"], nodes | {"output": (b.add(), tuple(n for n in ("joined", "skip") if n in nodes))}, "output")

    networks: dict[str, Graph] = {}
    for degrees, last, skips in shapes(vertices):
        parts: dict[str, Element] = {"stem": b.conv(channels=channels)}
        for i in range(3):
            parts |= {f"down{i}": b.pool2d(size=2)} if i else {}
            parts[f"stage{i + 1}"] = repeat(cell(channels * 2**i, degrees, last, skips), cells)
        name = f"{'-'.join(map(str, degrees))}>{last}{'+x' if skips else ''}"
        networks[name] = chain(**parts, head=b.classifier(classes=task.classes))
    return Space(chain(network=choice("degrees", **networks)), reference={"degrees": "1-1>1+x"})


def shapes(vertices: int, edges: int = 9) -> Iterator[tuple[tuple[int, ...], int, bool]]:
    """How many inputs each inner vertex takes, how many of them the output takes, and whether also the cell's input."""
    for inner in range(vertices - 1):
        for degrees in product(*(range(1, j + 1) for j in range(1, inner + 1))):
            for last, skips in product(range(inner > 0, inner + 1), (False, True)):
                if (last or skips) and sum(degrees) + last + skips <= edges:
                    yield degrees, last, skips


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("nas_bench_101", nas_bench_101)
