"""A recurrent cell that is itself searched, in a stack of layers (Klyuchnikov et al., IEEE Access 2022, NAS-Bench-NLP).

Node i is a linear map of x and 1 or 2 of v = s + i values (s = `states` old states, earlier nodes) or, but for node 0,
of 2 or 3 of them, a blend of 3, product or sum of 2, tanh, sigmoid or leaky ReLU; each new state is a node. Exact size:
(s + s^2) * (the product over 0 < i < `nodes` of 2 v^3 + 4 v^2 + 4 v) * `nodes`^s; 3.9e21 with the defaults.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, Graph, chain, choice, graph
from nas.space.ports import TaskInfo
from nas.space.space import Space

OPS = [f"cell_linear:{reads}" for reads in ("xv", "xvv", "vv", "vvv")]  # v: a value, x: the input
OPS += ["blend:vvv", "product:vv", "add:vv", "tanh:v", "sigmoid:v", "leaky_relu:v"]


def cell(b: Blocks, nodes: int, states: int) -> Graph:
    """A cell of x and old states: each node's block and values, and which nodes are new states, are choices."""

    def option(name: str, op: str, known: tuple[str, ...]) -> Graph:
        block, _, reads = op.partition(":")
        among = [choice(f"{name}/value{i}", *((value,) for value in known[1:])) for i in range(reads.count("v"))]
        values = {f"value{i}": (b.identity(), read) for i, read in enumerate(among)}
        return graph(known, {**values, "out": (b[block](), ("x", *values) if "x" in reads else tuple(values))}, "out")

    inputs = ("x", *(f"h{i}" for i in range(states)))
    made: dict[str, tuple[Element, object]] = {}
    for name in (f"n{i}" for i in range(nodes)):  # the first reads x, so that most cells depend on it
        known = (*inputs, *made)
        made[name] = (choice(name, **{op: option(name, op, known) for op in (OPS if made else OPS[:2])}), known)
    new = {f"new{i}": (b.identity(), choice(f"new{i}", *((name,) for name in made))) for i in range(states)}
    return graph(inputs, {**made, **new, "out": (b.pack(), tuple(new))}, "out")


def recurrent_cell(
    b: Blocks, task: TaskInfo, *, nodes: int = 8, states: int = 2, layers: int = 1, features: int = 64, hidden: int = 64
) -> Space:
    """The cell of recurrent layers, a graph; a language model's last layer is as wide as its tied embedding."""
    kind, tied = task.input.kind, task.target == "token"
    if (kind == "tokens" or tied) and not task.vocabulary:
        raise SpaceError(f"a recurrent cell takes tokens of a known vocabulary, task {task.name!r} tells none")
    embed = b.embedding(vocabulary=task.vocabulary, features=features, std=0.06)
    start = {"tokens": embed, "image": b.image_to_sequence()}.get(kind, b.identity())
    widths = [hidden] * (layers - tied) + [features] * tied
    body = cell(b, nodes, states)
    stack = chain(**{f"layer{i}": b.recurrence(cell=body, hidden=w, states=states) for i, w in enumerate(widths)})
    told = chain(last=b.last_step(), linear=b.linear(features=task.outputs))
    head = (b.vocabulary_head(vocabulary=task.outputs), ("layers", "start")) if tied else (told, "layers")
    network = graph(["x"], {"start": (start, "x"), "layers": (stack, "start"), "head": head}, "head")
    return Space(network, reference={"n1": "tanh:v", "n1/value0": "n0", "new0": "n1"})  # Elman's cell


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("recurrent_cell", recurrent_cell)
