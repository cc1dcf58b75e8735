"""Stacked recurrent layers over a sequence, the rows of an image, or embedded tokens.

4 cells, 1..`layers` of them, 4 widths, one or both directions, 3 rates of dropout, 4 poolings: 384 * `layers`
architectures, 1,152 with the defaults; 3 times as many with tokens, for the width of the embedding. Where the next
token is asked at every position there is no pooling, and one direction only: 144 * `layers`.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, Parameter, chain, choice
from nas.space.ports import TaskInfo
from nas.space.space import Space

CELLS = ("lstm", "gru", "rnn", "min_gru")


def recurrent_stack(b: Blocks, task: TaskInfo, *, layers: int = 3, width: int = 128) -> Space:
    """Cell, depth, width, direction, dropout and pooling of stacked recurrent layers."""
    kind, each = task.input.kind, task.target == "token"
    if kind == "tokens" and not task.vocabulary:
        raise SpaceError(
            f"recurrent layers take tokens of a known vocabulary, task {task.name!r} has {task.vocabulary}"
        )
    widths = (width // 4, width // 2, width, 2 * width)
    both: Parameter = False if each else choice("direction", one=False, two=True)
    dropout = choice("dropout", 0.0, 0.2, 0.5)
    depth = choice("layers", *range(1, layers + 1))
    said: dict[str, Parameter] = {"hidden": choice("width", *widths), "layers": depth, "bidirectional": both}
    parts: dict[str, Element] = {}
    if kind == "tokens":
        parts["embed"] = b.embedding(vocabulary=task.vocabulary, features=choice("embedding", *widths[:3]))
    elif kind == "image":
        parts["rows"] = b.image_to_sequence()
    parts["layers"] = choice("cell", **{name: b[name](dropout=dropout, **said) for name in CELLS})
    if not each:
        parts["pool"] = choice(
            "pool",
            last=b.last_step(bidirectional=both),
            mean=b.mean_over_time(),
            max=b.max_over_time(),
            attention=b.attention_pool(),
        )
    graph = chain(**parts, dropout=b.dropout(rate=dropout), head=b.linear(features=task.outputs))
    return Space(graph, reference={"width": width})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("recurrent_stack", recurrent_stack)
