"""DARTS (Liu et al., ICLR 2019): a normal and a reduction cell, each of four nodes that add two earlier values.

Every node takes two of the values before it (1 * 3 * 6 * 10 ways a cell), each through one of seven operations:
180 * 7^8 = 1,037,664,180 cells, the paper's "about 10^9", and 1,076,746,950,455,072,400 pairs, its "about 10^18". The
often quoted 8^14 counts the supernet's edges: 14 a cell with eight operations, of which none is never taken. A
genotype is said by decisions: ``normal/node3`` takes ``0+2``, ``normal/edge23`` is ``sep_conv_3x3``.
"""

from itertools import combinations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, Graph, choice, graph
from nas.space.ports import TaskInfo
from nas.space.space import Space


def darts(b: Blocks, task: TaskInfo, *, channels: int = 16, cells: int = 8) -> Space:
    """Normal and reduction cells; the paper searches with 16 channels and 8 cells and trains with 36 and 20."""
    skips = {1: b.identity(), 2: b.factorized_reduce()}

    def pair(kind: str, t: int, *sources: int) -> Graph:
        nodes: dict[str, tuple[Element, object]] = {}
        for s in sources:
            stride = 2 if kind == "reduce" and s < 2 else 1
            ops = {"max_pool_3x3": b.max_pool(stride=stride), "avg_pool_3x3": b.avg_pool(stride=stride)}
            ops["skip_connect"] = skips[stride]
            ops |= {f"sep_conv_{k}x{k}": b.separable_conv(kernel=k, stride=stride) for k in (3, 5)}
            ops |= {f"dil_conv_{k}x{k}": b.dilated_conv(kernel=k, stride=stride) for k in (3, 5)}
            nodes[f"edge{s}{t}"] = (choice(f"{kind}/edge{s}{t}", **ops), f"n{s}")
        return graph([f"n{s}" for s in range(t)], nodes | {"sum": (b.add(), tuple(nodes))}, "sum")

    def node(kind: str, t: int) -> Element:
        pairs = {f"{p}+{q}": pair(kind, t, p, q) for p, q in combinations(range(t), 2)}
        return choice(f"{kind}/node{t}", **pairs) if t > 2 else pairs["0+1"]

    def body(kind: str) -> Graph:
        nodes = {f"n{t}": (node(kind, t), tuple(f"n{s}" for s in range(t))) for t in range(2, 6)}
        return graph(["n0", "n1"], {**nodes, "concat": (b.concat(), tuple(nodes))}, "concat")

    bodies = {kind: body(kind) for kind in ("normal", "reduce")}
    made: dict[str, tuple[Element, object]] = {"stem": (b.conv(channels=3 * channels, order="conv_norm"), "x")}
    before, last, halved = "stem", "stem", False
    for i in range(cells):
        reduces = i in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduces else 1
        enter = b.conv(kernel=1, channels=channels, order="act_conv_norm")
        first = b.factorized_reduce(channels=channels) if halved else enter
        nodes = (bodies["reduce" if reduces else "normal"], ("n0", "n1"))
        cell = graph(["before", "last"], {"n0": (first, "before"), "n1": (enter, "last"), "nodes": nodes}, "nodes")
        made[f"cell{i}"] = (cell, (before, last))
        before, last, halved = last, f"cell{i}", reduces
    plain = {f"{kind}/edge{s}{t}": "sep_conv_3x3" for kind in bodies for s in (0, 1) for t in range(2, 6)}
    return Space(graph(["x"], made | {"head": (b.classifier(classes=task.classes), last)}, "head"), reference=plain)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("darts", darts)
