"""A smaller space of the same graph: some choices with some of their options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

from nas.errors import SpaceError, UnknownNameError
from nas.space.graph import Block, Choice, Graph, Node, Repeat, Scalar

Only = Mapping[str, Collection[Scalar]]
"""Label of a choice as its author wrote it, without the path of an untied repeat -> names of the options that stay."""


def restrict(graph: Graph, only: Only) -> Graph:
    """The graph with these choices cut down, in the order of their options.

    Raises SpaceError for a label or an option that is nowhere in it, or a choice that nothing is left of.
    """
    found: dict[str, Choice] = {}
    made = _cut(graph, only, found)
    for label, names in only.items():
        if label not in found:
            raise SpaceError(str(UnknownNameError("decision", label, found)))
        for name in names:
            if name not in found[label].names:
                known = map(str, found[label].names)
                raise SpaceError(str(UnknownNameError(f"option of decision {label!r}", str(name), known)))
        if not names:
            raise SpaceError(f"decision {label!r} is left without an option; name at least one")
    assert isinstance(made, Graph)
    return made


@singledispatch
def _cut(element: Any, only: Only, found: dict[str, Choice]) -> Any:
    return element


@_cut.register
def _(element: Graph, only: Only, found: dict[str, Choice]) -> Graph:
    nodes = (Node(n.name, _cut(n.op, only, found), _cut(n.inputs, only, found)) for n in element.nodes)
    return Graph(element.inputs, tuple(nodes), element.output)


@_cut.register
def _(element: Block, only: Only, found: dict[str, Choice]) -> Block:
    return replace(element, params=tuple((name, _cut(value, only, found)) for name, value in element.params))


@_cut.register
def _(element: Repeat, only: Only, found: dict[str, Choice]) -> Repeat:
    return replace(element, body=_cut(element.body, only, found), times=_cut(element.times, only, found))


@_cut.register
def _(element: Choice, only: Only, found: dict[str, Choice]) -> Choice:
    found[element.label] = element
    wanted = only.get(element.label, element.names)
    kept = [(o, n) for o, n in zip(element.options, element.names, strict=True) if n in wanted]
    if not kept:
        return element  # for `restrict` to complain of
    return replace(element, options=tuple(_cut(o, only, found) for o, _ in kept), names=tuple(n for _, n in kept))
