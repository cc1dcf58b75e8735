"""A graph without its nesting: what compiler, counters, drawings and models read; digests read its rows (`program`).

A *value* is the multiset of terms that are added where it is used (term numbers, sorted). Sums thereby vanish: they are
flat and without order by construction. Terms 0..k-1 are the graph's inputs, the rest are blocks in topological order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from nas.space.graph import Block, Graph

Value = tuple[int, ...]

LATEST = 256
"""Graphs whose simplified form is kept, some megabytes: as many as a strategy looks at for one proposal."""

Bare = tuple[str, Block, tuple[Value, ...]]
"""A term before anybody asks for its parts by name, which costs as much as finding it."""


class Term(NamedTuple):
    """One block of the flat graph: its path of node names, itself, and the value on each of its ports."""

    path: str
    block: Block
    ports: tuple[Value, ...]


_latest: dict[int, tuple[Graph, tuple[list[Bare], Value]]] = {}
"""By the id of a graph, which is kept with it so that the id stays its own."""


class Flat(NamedTuple):
    """`inputs` names, `terms` in topological order, and the value that goes out."""

    inputs: tuple[str, ...]
    terms: list[Term]
    output: Value

    @property
    def reads_input(self) -> bool:
        """Whether the output depends on any input at all."""
        k = len(self.inputs)
        return any(i < k for i in self.output) or any(i < k for t in self.terms for p in t.ports for i in p)


def flatten(graph: Graph, *, simplify: bool = True) -> Flat:
    """The flat form of a realised graph; simplified, unless asked for it as written.

    Simplified: identities are contracted, zero branches and all that only they feed are dropped, sums are flat, blocks
    that nothing uses are gone. The function that the network computes stays the same. As written, every node stays a
    term and no value has more than one.
    """
    terms, output = simplified(graph) if simplify else _Flattening(simplify=False).whole(graph)
    return Flat(graph.inputs, [Term(*term) for term in terms], output)


def simplified(graph: Graph) -> tuple[list[Bare], Value]:
    """The terms and the output of the simplified graph, without names for their parts; not to be changed.

    A candidate's check and a model ask one after the other, so the latest answers are kept.
    """
    known = _latest.get(id(graph))
    if known is None:
        known = (graph, _Flattening(simplify=True).whole(graph))
        if len(_latest) >= LATEST:
            _latest.clear()
        _latest[id(graph)] = known
    return known[1]


class _Flattening:
    """Goes through a graph and those inside it; one that stands in several places is simplified once, then copied."""

    def __init__(self, simplify: bool) -> None:
        self.simplify = simplify
        self.copies: dict[int, tuple[list[Bare], Value] | None] = {}

    def whole(self, graph: Graph) -> tuple[list[Bare], Value]:
        """The graph by itself, its inputs terms 0..k-1."""
        k = len(graph.inputs)
        terms: list[Bare] = []
        output = self.into(terms, k, graph, [(i,) for i in range(k)], "")
        return _without_dead(terms, k, output) if self.simplify else (terms, output)

    def into(self, terms: list[Bare], k: int, graph: Graph, args: list[Value], path: str) -> Value:
        """Adds the terms of a graph whose inputs have the values `args`; gives its output's value."""
        env = dict(zip(graph.inputs, args, strict=True))
        for name, op, inputs in graph.nodes:
            if type(op) is Graph:
                env[name] = self.inner(terms, k, op, [env[i] for i in inputs], f"{path}{name}/")  # type: ignore[union-attr]
                continue
            assert type(op) is Block, f"{path}{name} still holds a {type(op).__name__}"
            values = tuple([env[i] for i in inputs])  # type: ignore[union-attr]
            if self.simplify:
                traits = op.signature.traits
                role = traits.role
                if role == "identity":
                    env[name] = values[0]
                    continue
                if role == "sum":
                    env[name] = values[0] if len(values) == 1 else tuple(sorted([i for v in values for i in v]))
                    continue
                if role == "zero" or (traits.keeps_zero and not any(values)):
                    env[name] = ()
                    continue
            env[name] = (k + len(terms),)
            terms.append((path + name, op, values))
        return env[graph.output]

    def inner(self, terms: list[Bare], k: int, graph: Graph, args: list[Value], path: str) -> Value:
        """A graph inside another: copied where it was met before, for what it becomes depends on zeros alone."""
        key = id(graph)
        if key not in self.copies or not all(args):
            self.copies.setdefault(key, None)
            return self.into(terms, k, graph, args, path)
        copy = self.copies[key]
        if copy is None:
            copy = self.copies[key] = self.whole(graph)
        shift = k + len(terms) - len(args)
        inside, output = copy
        for suffix, block, ports in inside:
            terms.append((path + suffix, block, tuple([moved(port, args, shift) for port in ports])))
        return moved(output, args, shift)


def moved(port: Value, args: Sequence[Value], shift: int) -> Value:
    """A value of a copied graph: its inputs are `args`, its terms come later by `shift`."""
    k = len(args)
    if len(port) == 1:
        return args[port[0]] if port[0] < k else (port[0] + shift,)
    if not port or port[0] >= k:
        return tuple([j + shift for j in port])
    before = sorted([i for j in port if j < k for i in args[j]])
    return (*before, *[j + shift for j in port if j >= k])


def _without_dead(terms: list[Bare], k: int, output: Value) -> tuple[list[Bare], Value]:
    """Without the terms that nothing uses."""
    number = live_numbers(k, [ports for _, _, ports in terms], output)
    if -1 not in number:
        return terms, output
    left = [
        (path, block, renumbered(ports, number)) for i, (path, block, ports) in enumerate(terms, k) if number[i] >= 0
    ]
    return left, tuple([number[j] for j in output])


def live_numbers(k: int, read: Sequence[tuple[Value, ...]], output: Value) -> list[int]:
    """The numbers of inputs and terms without those that nothing uses, which have -1; `read` is what terms read."""
    live = {*range(k), *output}
    for i in range(k + len(read) - 1, k - 1, -1):
        if i in live:
            for port in read[i - k]:
                live.update(port)
    count = itertools.count()
    return [next(count) if i in live else -1 for i in range(k + len(read))]


def renumbered(ports: tuple[Value, ...], number: Sequence[int]) -> tuple[Value, ...]:
    """Ports whose terms have other numbers."""
    return tuple([tuple([number[j] for j in port]) for port in ports])
