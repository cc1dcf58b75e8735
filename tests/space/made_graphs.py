"""Random graphs and spaces for property tests, and what is true of them by brute force."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx
from hypothesis import strategies as st

from nas.space.flat import flatten
from nas.space.graph import Block, Choice, Graph, Node, Repeat, Signature, Traits, chain, choice, repeat
from nas.space.space import Space
from nas.testing.toys import ADD, CONV, JOIN, POOL, SKIP, ZERO

BIAS = Signature("bias")
CAT = Signature("cat", ("any", "*"))
GATE = Signature("gate", ("any", "any"))
CELL = Signature("cell", parameters={"kernel": 3, "bias": True, "widths": (1, 2), "inner": None})
MAX = Signature("max", ("any", "*"), traits=Traits("symmetric", keeps_zero=True))

ONE_INPUT = (CONV(), CONV(kernel=1), POOL(), BIAS(), SKIP(), ZERO())
MANY_INPUTS = (ADD(), JOIN(), CAT(), MAX())


@st.composite
def graphs(draw: st.DrawFn, most: int = 8, inputs: int = 1, ops: tuple[Block, ...] | None = None) -> Graph:
    """A graph of blocks in which anything may read anything before it; some nodes may be dead."""
    names = [f"in{i}" for i in range(inputs)]
    nodes: list[Node] = []
    for i in range(draw(st.integers(1, most))):
        op = draw(st.sampled_from(ops or (*ONE_INPUT, *ONE_INPUT, *MANY_INPUTS, GATE())))
        ports = (1, 1) if op.signature.inputs == ("any",) or op.name in ("toy_conv", "toy_pool") else (1, 3)
        low, high = (2, 2) if op.name == "gate" else ports
        reads = draw(st.lists(st.sampled_from(names), min_size=low, max_size=high))
        nodes.append(Node(f"n{i}", op, tuple(reads)))
        names.append(f"n{i}")
    if draw(st.booleans()):
        reads = draw(st.lists(st.sampled_from(names[1:]), min_size=1, max_size=4))
        nodes.append(Node("end", draw(st.sampled_from(MANY_INPUTS)), tuple(reads)))
        names.append("end")
    return Graph(tuple(f"in{i}" for i in range(inputs)), tuple(nodes), names[-1])


def wild(rng: random.Random, inputs: int | None = None, *, nested: bool = True) -> Graph:
    """A graph full of equal blocks, in which up to two graphs of several inputs stand in several places."""
    k = inputs or rng.choice([1, 1, 2])
    kinds = [(CONV(), 1), (CONV(), 1), (POOL(), 1), (BIAS(), 1), (GATE(), 2)]
    kinds += [(op(), rng.choice([2, 2, 3])) for op in (ADD, ADD, JOIN, MAX, CAT)]
    inner = [wild(rng, rng.choice([2, 2, 3]), nested=False) for _ in range(rng.choice([0, 1, 2]) * nested)]
    names, nodes = [f"in{i}" for i in range(k)], []
    few = rng.sample(kinds, rng.randint(3, len(kinds)))
    for i in range(rng.randint(3, 11)):
        op: Block | Graph
        op, ports = rng.choice(few)
        if inner and rng.random() < 0.4:
            op = rng.choice(inner)
            ports = len(op.inputs)
        near = names if rng.random() < 0.5 else names[-4:]
        nodes.append(Node(f"n{i}", op, tuple([rng.choice(near) for _ in range(ports)])))
        names.append(f"n{i}")
    return Graph(tuple(names[:k]), tuple(nodes), names[-1])


def shuffled(graph: Graph, rng: random.Random) -> Graph:
    """The same graph under other names, in another topological order, unordered inputs in another order."""
    flow = nx.DiGraph((source, node.name) for node in graph.nodes for source in node.inputs)
    flow.add_nodes_from([*graph.inputs, *(node.name for node in graph.nodes)])
    rank = {name: rng.random() for name in flow}
    order = [n for n in nx.lexicographical_topological_sort(flow, key=rank.__getitem__) if n not in graph.inputs]
    numbers = rng.sample(range(1000), len(flow))
    new = {name: f"{rng.choice('abc')}{number}" for name, number in zip(sorted(flow), numbers, strict=True)}
    by_name = {node.name: node for node in graph.nodes}
    nodes = []
    for name in order:
        node = by_name[name]
        reads = [new[source] for source in node.inputs]
        if isinstance(node.op, Block) and node.op.signature.traits.role in ("sum", "symmetric"):
            rng.shuffle(reads)
        op = shuffled(node.op, rng) if isinstance(node.op, Graph) else node.op
        nodes.append(Node(new[name], op, tuple(reads)))
    return Graph(tuple(new[name] for name in graph.inputs), tuple(nodes), new[graph.output])


def inlined(graph: Graph, prefix: str = "", reads: Mapping[str, str] | None = None) -> tuple[list[Node], str]:
    """All nodes with their sub-graphs written out, and the name of the output."""
    now = dict(reads or {name: name for name in graph.inputs})
    nodes: list[Node] = []
    for name, op, inputs in graph.nodes:
        given = tuple(now[source] for source in inputs)
        if isinstance(op, Graph):
            inner, out = inlined(op, f"{prefix}{name}_", dict(zip(op.inputs, given, strict=True)))
            nodes += inner
            now[name] = out
        else:
            nodes.append(Node(prefix + name, op, given))
            now[name] = prefix + name
    return nodes, now[graph.output]


def inline(graph: Graph) -> Graph:
    """The graph without nesting."""
    nodes, output = inlined(graph)
    return Graph(graph.inputs, tuple(nodes), output)


def drawn(graph: Graph) -> nx.DiGraph:
    """The simplified graph with a node for every port, so that isomorphism with labels is sameness."""
    flat = flatten(graph)
    made = nx.DiGraph()
    for i in range(len(flat.inputs)):
        made.add_node(i, label=f"input {i}")

    def port(name: object, label: str, value: tuple[int, ...]) -> None:
        made.add_node(name, label=label)
        for source, times in Counter(value).items():
            made.add_edge(source, name, times=times)

    for i, term in enumerate(flat.terms, len(flat.inputs)):
        made.add_node(i, label=f"block {term.block.label}")
        for number, value in enumerate(term.ports):
            ordered = term.block.signature.traits.role != "symmetric"
            port((i, number), f"port {number}" if ordered else "port", value)
            made.add_edge((i, number), i, times=1)
    port("output", "output", flat.output)
    return made


def isomorphic(one: nx.DiGraph, other: nx.DiGraph) -> bool:
    def same(key: str) -> Any:
        return lambda a, b: a[key] == b[key]

    return bool(nx.is_isomorphic(one, other, node_match=same("label"), edge_match=same("times")))


@st.composite
def spaces(draw: st.DrawFn, largest: int = 400) -> Space:
    """A small space with conditional, tied and untied decisions, repeats to choose and sub-graphs to choose."""
    made: list[Choice] = []
    for i in range(draw(st.integers(1, 4))):
        options = draw(st.lists(elements(made), min_size=1, max_size=3))
        made.append(choice(f"c{i}", **{f"o{j}": option for j, option in enumerate(options)}))
    parts = draw(st.lists(elements(made), min_size=1, max_size=4))
    last = made[-1] if draw(st.booleans()) else SKIP()
    space = Space(chain(**{f"p{i}": part for i, part in enumerate(parts)}, last=last), inputs=["image"])
    return space if space.size <= largest else Space(chain(p0=made[0]), inputs=["image"])


TIMES = (choice("times", 0, 1, 2), choice("more", 1, 3))
KERNEL = choice("kernel", 1, 3, 5)


def elements(made: list[Choice]) -> st.SearchStrategy[Any]:
    """Blocks, blocks with a parameter to choose, choices made before, repeats and chains of these."""
    known = st.sampled_from([CONV(), POOL(), SKIP(), ZERO(), CONV(kernel=KERNEL), *made])
    repeats = st.builds(repeat, known, st.sampled_from([0, 1, 2, *TIMES]), tied=st.booleans())
    chains = st.builds(lambda a, b: chain(a=a, b=b), known, known | repeats)
    return known | repeats | chains


def opened(element: object, decided: Mapping[str, Any], path: str = "", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The open decisions of an element under `decided`, read off the words of a space: the core must agree."""
    if isinstance(element, Choice):
        label = prefix + element.label
        name = decided[label]
        yield label, name
        yield from opened(element.options[element.names.index(name)], decided, path, prefix)
    elif isinstance(element, Repeat):
        times = element.times
        if isinstance(times, Choice):
            yield prefix + times.label, decided[prefix + times.label]
            times = decided[prefix + times.label]
        for i in range(times):
            place = f"{path}/{element.name}{i}" if path else f"{element.name}{i}"
            yield from opened(element.body, decided, place, prefix if element.tied else f"{prefix}{place}/")
    elif isinstance(element, Graph):
        for name, op, inputs in element.nodes:
            place = f"{path}/{name}" if path else name
            yield from opened(op, decided, place, prefix)
            yield from opened(inputs, decided, place, prefix)
    elif isinstance(element, Block):
        for _, value in element.params:
            yield from opened(value, decided, path, prefix)
