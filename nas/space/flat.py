"""A graph without its nesting: what digest, compiler and counters read.

A *value* is the multiset of terms that are added where it is used (term numbers, sorted). Sums thereby vanish: they are
flat and without order by construction. Terms 0..k-1 are the graph's inputs, the rest are blocks in topological order.
"""

from __future__ import annotations

from typing import NamedTuple

from nas.space.graph import Block, Graph

Value = tuple[int, ...]


class Term(NamedTuple):
    """One block of the flat graph: its path of node names, itself, and the value on each of its ports."""

    path: str
    block: Block
    ports: tuple[Value, ...]


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
    k = len(graph.inputs)
    terms: list[Term] = []
    output = _evaluate(graph, [(i,) for i in range(k)], "", terms, k, simplify)
    return _drop_dead(Flat(graph.inputs, terms, output)) if simplify else Flat(graph.inputs, terms, output)


def _evaluate(
    graph: Graph,
    args: list[Value],
    path: str,
    terms: list[Term],
    k: int,
    simplify: bool,
) -> Value:
    env = dict(zip(graph.inputs, args, strict=True))
    for name, op, inputs in graph.nodes:
        values = [env[i] for i in inputs]  # type: ignore[union-attr]
        if type(op) is Graph:
            env[name] = _evaluate(op, values, f"{path}{name}/", terms, k, simplify)
            continue
        assert type(op) is Block, f"{path}{name} still holds a {type(op).__name__}"
        if simplify:
            traits = op.signature.traits
            role = traits.role
            if role == "identity":
                env[name] = values[0]
                continue
            if role == "zero":
                env[name] = ()
                continue
            if role == "sum":
                env[name] = tuple(sorted(i for v in values for i in v))
                continue
            if traits.keeps_zero and not any(values):
                env[name] = ()
                continue
        env[name] = (k + len(terms),)
        terms.append(Term(path + name, op, tuple(values)))
    return env[graph.output]


def _drop_dead(flat: Flat) -> Flat:
    k = len(flat.inputs)
    live = set(flat.output)
    for i in range(len(flat.terms) - 1, -1, -1):
        if k + i in live:
            for port in flat.terms[i].ports:
                live.update(port)
    if len(live - set(range(k))) == len(flat.terms):
        return flat
    number = {i: i for i in range(k)}
    terms: list[Term] = []
    for i, term in enumerate(flat.terms):
        if k + i in live:
            number[k + i] = k + len(terms)
            ports = tuple(tuple(number[j] for j in port) for port in term.ports)
            terms.append(Term(term.path, term.block, ports))
    return Flat(flat.inputs, terms, tuple(number[j] for j in flat.output))
