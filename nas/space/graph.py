"""The words a search space is written in: blocks, graphs, choices, repeats.

The same `Graph` says a whole space (choices in it) and one architecture (none left). Everything is immutable.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Literal, NamedTuple, get_args

import networkx as nx

from nas.errors import SpaceError, UnknownNameError
from nas.space.ports import ANY, SAME, kinds_of

Role = Literal["", "identity", "zero", "sum", "symmetric"]
Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a block declares about the function it computes; the identity of architectures rests on it.

    role: ``identity`` gives its input; ``zero`` gives zeros whatever comes; ``sum`` adds its inputs;
        ``symmetric`` does not see the order of its inputs, if weights that it has for each input move with them.
    keeps_zero: gives zeros for zeros (at initialisation, for a block with learned shifts).
    """

    role: Role = ""
    keeps_zero: bool = False

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            known = ", ".join(filter(None, get_args(Role)))
            raise ValueError(f"expected no role or one of {known}, got {self.role!r}")
        if not isinstance(self.keeps_zero, bool):
            raise ValueError(f"expected keeps_zero to be true or false, got {self.keeps_zero!r}")


PLAIN = Traits()


@dataclass(frozen=True)
class Signature:
    """A block as the space sees it: name, ports, parameters with their defaults, traits.

    `inputs` has one word a port: a kind, alternatives (``"image|vector"``) or ``"any"``; a last ``"*"`` lets the
    port before it come any number of times. `output` is a kind, or ``"same"`` as the first input.
    """

    name: str
    inputs: tuple[str, ...] = (ANY,)
    output: str = SAME
    parameters: Mapping[str, Value] = field(default_factory=dict)
    traits: Traits = PLAIN

    def __post_init__(self) -> None:
        for word in self.inputs:
            if word != "*":
                kinds_of(word)
        if self.output != SAME:
            kinds_of(self.output)

    def __hash__(self) -> int:
        return hash((self.name, self.inputs, self.output, self.traits))

    @cached_property
    def ports(self) -> tuple[frozenset[str], ...]:
        """The kinds each declared port takes."""
        return tuple(kinds_of(word) for word in self.inputs if word != "*")

    @property
    def variadic(self) -> bool:
        """Whether the last port may come any number of times."""
        return self.inputs[-1:] == ("*",)

    def __call__(self, **parameters: Parameter) -> Block:
        """A block with these parameters; unknown ones are refused with the nearest name."""
        for key in parameters:
            if key not in self.parameters:
                raise UnknownNameError(f"parameter of block {self.name!r}", key, self.parameters)
        return Block(self, tuple(sorted((k, _plain(v)) for k, v in parameters.items())))


@dataclass(frozen=True)
class Block:
    """One use of a block: its signature and its parameters, of which one may be a graph (a recurrent cell's)."""

    signature: Signature
    params: tuple[tuple[str, Parameter], ...] = ()

    def __getstate__(self) -> dict[str, object]:
        """Without what is remembered of it, which another process finds anew."""
        return {"signature": self.signature, "params": self.params}

    @property
    def name(self) -> str:
        """The name under which the block is registered."""
        return self.signature.name

    @cached_property
    def label(self) -> str:
        """Name and all parameters that differ from their defaults; equal labels, equal blocks.

        A graph among them stands as a hash of how it is written.
        """
        defaults = self.signature.parameters
        given = [f"{k}={_text(v)}" for k, v in self.params if defaults.get(k, _MISSING) != v]
        return f"{self.name}({','.join(given)})" if given else self.name

    def __str__(self) -> str:
        return self.label


_MISSING = object()


class Node(NamedTuple):
    """A named place in a graph: what stands there and where its inputs come from."""

    name: str
    op: Element
    inputs: tuple[str, ...] | Choice


@dataclass(frozen=True)
class Choice:
    """A decision: one of several options. Two choices with one label are one decision.

    An option is a block, a graph, a repeat, another choice, a parameter's value or a tuple of input names,
    by the place where the choice stands. `names` are what records and people call the options.
    """

    label: str
    options: tuple[object, ...]
    names: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise SpaceError(f"choice {self.label!r} has no options; give at least one")
        if len(self.names) != len(self.options):
            raise SpaceError(f"choice {self.label!r} has {len(self.options)} options and {len(self.names)} names")
        seen = [json.dumps(name) for name in self.names]
        if twice := [name for name in seen if seen.count(name) > 1]:
            raise SpaceError(f"choice {self.label!r} has option {twice[0]} more than once")

    def __str__(self) -> str:
        return f"{self.label}: {' | '.join(map(str, self.names))}"


@dataclass(frozen=True)
class Repeat:
    """`body` after itself, `times` times. Tied: all copies share decisions; else each copy has its own."""

    body: Element
    times: int | Choice
    tied: bool = True
    name: str = "cell"

    def __post_init__(self) -> None:
        found: tuple[object, ...] = self.counts
        for n in found:
            if not isinstance(n, int) or isinstance(n, bool) or n < 0:
                raise SpaceError(f"repeat {self.name!r}: expected times to be integers >= 0, got {n!r}")

    @property
    def counts(self) -> tuple[int, ...]:
        """Every number of times there may be."""
        return self.times.options if isinstance(self.times, Choice) else (self.times,)  # type: ignore[return-value]

    @property
    def most(self) -> int:
        """The largest number of times."""
        return max(self.counts)


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph of named nodes: `inputs` come in, the value of `output` goes out.

    Raises SpaceError for a cycle, an unknown input, a name used twice or a node that nothing uses. Nodes are kept
    in topological order, ties in the order given.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    output: str

    def __getstate__(self) -> dict[str, object]:
        """Without what is remembered of it, which another process finds anew."""
        return {"inputs": self.inputs, "nodes": self.nodes, "output": self.output}

    @cached_property
    def text_hash(self) -> str:
        """16 hexadecimal digits of how the graph is written, names and order included; not of what it computes."""
        return blake2b(repr(self).encode(), digest_size=8).hexdigest()

    @staticmethod
    def checked(inputs: Iterable[str], nodes: Iterable[Node], output: str, *, dangling: bool = False) -> Graph:
        """A graph from parts that may be wrong; see the class for what is refused.

        dangling: whether there may be nodes that nothing uses, which a choice of inputs has passed by.
        """
        inputs, nodes = tuple(inputs), list(nodes)
        names = [*inputs, *(node.name for node in nodes)]
        for name in names:
            if not isinstance(name, str) or not name or "/" in name or "." in name:
                raise SpaceError(f"expected a node name without '/' or '.', got {name!r}")
            if names.count(name) > 1:
                raise SpaceError(f"node name {name!r} is used twice in one graph")
        flow: nx.DiGraph[str] = nx.DiGraph()
        flow.add_nodes_from(names)
        for node in nodes:
            for source in _possible_inputs(node):
                if source not in flow:
                    raise SpaceError(f"node {node.name!r}: {UnknownNameError('input', source, names)}")
                flow.add_edge(source, node.name)
        if output not in flow:
            raise SpaceError(str(UnknownNameError("output node", output, names)))
        if not nx.is_directed_acyclic_graph(flow):
            cycle = [a for a, _ in nx.find_cycle(flow)]
            raise SpaceError(f"the graph has a cycle: {' -> '.join([*cycle, cycle[0]])}")
        used = nx.ancestors(flow, output) | {output}
        unused = [node.name for node in nodes if node.name not in used]
        if unused and not dangling:
            raise SpaceError(f"node {unused[0]!r} is dangling: nothing leads from it to {output!r}")
        rank = {name: i for i, name in enumerate(names)}
        order = nx.lexicographical_topological_sort(flow, key=rank.__getitem__)
        by_name = {node.name: node for node in nodes}
        return Graph(inputs, tuple(by_name[name] for name in order if name in by_name), output)


class Mould:
    """What all graphs have in common that a space makes for one of its places: they differ in the nodes `moving`.

    `plans` is what is found out about them once for all; every graph that comes of it keeps it as its `mould`.
    """

    def __init__(self, moving: tuple[int, ...]) -> None:
        self.moving = moving
        self.plans: dict[object, object] = {}


Element = Block | Graph | Choice | Repeat
Parameter = Value | Choice | Graph


def choice(label: str, *options: object, **named: object) -> Choice:
    """One of `options` (named by themselves) or of `named` options.

    >>> print(choice("kernel", 3, 5))
    kernel: 3 | 5
    """
    names = [option if isinstance(option, Scalar) else _option_name(option) for option in options]
    values = (*(_plain(option) for option in options), *named.values())
    return Choice(label, values, (*names, *named))


def subset(label: str, candidates: Iterable[str], size: int) -> Choice:
    """A choice of `size` of the `candidates`, for the inputs of a node."""
    return choice(label, *itertools.combinations(tuple(candidates), size))


def repeat(body: Element, times: int | Choice, *, tied: bool = True, name: str = "cell") -> Repeat:
    """`body` after itself, `times` times; with ``tied=False`` every copy decides for itself."""
    return Repeat(body, times, tied, name)


def graph(inputs: Iterable[str], nodes: Mapping[str, tuple[Element, object]], output: str) -> Graph:
    """A graph from ``{name: (element, inputs)}``; inputs are a name, a tuple of names or a choice of tuples."""
    made = [Node(name, op, _as_inputs(name, given)) for name, (op, given) in nodes.items()]
    return Graph.checked(inputs, made, output)


def chain(**parts: Element) -> Graph:
    """One input through `parts`, each after the one before."""
    names = ["x", *parts]
    nodes = [Node(name, op, (before,)) for before, (name, op) in zip(names, parts.items(), strict=False)]
    return Graph.checked(["x"], nodes, names[-1])


def dense_cell(nodes: int, edge: Callable[[int, int], Element], join: Block) -> Graph:
    """A cell of `nodes` values, the first its input, the last its output, with an element on every edge i -> j.

    Each value is `join` (mostly a sum) of all edges that reach it (Dong & Yang 2020, NAS-Bench-201).
    """
    if nodes < 2:
        raise SpaceError(f"expected a cell of at least 2 nodes, got {nodes}")
    made: list[Node] = []
    for j in range(1, nodes):
        into = [f"edge{i}{j}" for i in range(j)]
        made += [Node(name, edge(i, j), (f"node{i}",)) for i, name in enumerate(into)]
        made.append(Node(f"node{j}", join, tuple(into)))
    return Graph.checked(["node0"], made, f"node{nodes - 1}")


def _as_inputs(name: str, given: object) -> tuple[str, ...] | Choice:
    if isinstance(given, Choice):
        return given
    if isinstance(given, str):
        return (given,)
    if isinstance(given, (tuple, list)) and all(isinstance(g, str) for g in given):
        return tuple(given)
    raise SpaceError(f"node {name!r}: expected input names, a tuple of them or a choice, got {given!r}")


def _possible_inputs(node: Node) -> list[str]:
    options = node.inputs.options if isinstance(node.inputs, Choice) else (node.inputs,)
    found: list[str] = []
    for option in options:
        if not isinstance(option, tuple) or not all(isinstance(name, str) for name in option):
            raise SpaceError(f"node {node.name!r}: expected tuples of input names, got {option!r}")
        found += option
    return found


def _option_name(option: object) -> str:
    if isinstance(option, tuple):
        return "+".join(map(str, option))
    if isinstance(option, Block):
        return option.label
    if isinstance(option, Repeat):
        return f"{_option_name(option.body)}x{option.times}"
    if isinstance(option, Graph):
        return "-".join(_option_name(node.op) for node in option.nodes) or "pass"
    return str(option)


def _plain(value: object) -> Parameter:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]


def _text(value: object) -> str:
    if isinstance(value, Choice):
        return f"<{value.label}>"
    if isinstance(value, Graph):
        return f"<graph {value.text_hash}>"
    return json.dumps(value, sort_keys=True)
