"""Two architectures have one digest exactly when they are one graph after simplification."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections import defaultdict
from unittest.mock import patch

import networkx as nx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_graphs import (
    ADD,
    BIAS,
    CAT,
    CONV,
    GATE,
    JOIN,
    MAX,
    POOL,
    SKIP,
    ZERO,
    drawn,
    graphs,
    inline,
    inlined,
    isomorphic,
    shuffled,
    wild,
)

from nas.space import program
from nas.space.digest import digest
from nas.space.flat import flatten
from nas.space.graph import Block, Graph, Node, chain, graph
from nas.space.program import Programs, opened
from nas.testing import toys


def of(nodes: dict[str, tuple[object, object]], output: str) -> str:
    return digest(graph(["x"], nodes, output))  # type: ignore[arg-type]


@given(graphs(), st.randoms(use_true_random=False))
def test_names_and_order_do_not_matter(made: Graph, rng: random.Random) -> None:
    assert digest(shuffled(made, rng)) == digest(made)


@given(graphs(inputs=2), st.randoms(use_true_random=False))
def test_names_and_order_do_not_matter_with_two_inputs(made: Graph, rng: random.Random) -> None:
    assert digest(shuffled(made, rng)) == digest(made)


@given(st.randoms(use_true_random=False))
def test_names_and_order_do_not_matter_among_equal_blocks(rng: random.Random) -> None:
    made = wild(rng)
    assert digest(shuffled(made, rng)) == digest(inline(made)) == digest(made)


def test_twins_may_read_ports_without_an_order_in_any_order() -> None:
    def joined(a: tuple[str, str], b: tuple[str, str]) -> str:
        twins = {"a": (JOIN(), a), "b": (JOIN(), b), "sum": (ADD(), ("a", "b"))}
        double = {"y": (JOIN(), ("x", "x")), "z": (JOIN(), ("x", "y", "x"))}
        return of(double | twins | {"end": (JOIN(), ("z", "sum", "z"))}, "end")

    orders = [("x", "y"), ("y", "x")]
    assert len({joined(a, b) for a in orders for b in orders}) == 1


@given(graphs(most=5), graphs(most=5), graphs(most=4), st.randoms(use_true_random=False))
def test_nesting_does_not_matter(one: Graph, other: Graph, third: Graph, rng: random.Random) -> None:
    row = chain(a=one, b=chain(c=other, d=SKIP()), e=third)
    fork = graph(["x"], {"a": (one, "x"), "b": (one, "a"), "c": (other, "x"), "out": (ADD(), ("b", "c"))}, "out")
    for made in (row, fork, chain(a=fork, b=row)):
        flat = inline(made)
        assert digest(made) == digest(flat) == digest(shuffled(made, rng)) == digest(shuffled(flat, rng))


CELL_OPS = (CONV(), CONV(), CONV(kernel=1), POOL(), SKIP(), BIAS(), ZERO())


@st.composite
def cells(draw: st.DrawFn) -> Graph:
    """A cell of two inputs as DARTS has them: nodes that add two earlier values, laid side by side."""
    nodes: list[Node] = []
    for t in range(2, draw(st.integers(4, 5))):
        sources = draw(st.lists(st.integers(0, t - 1), min_size=2, max_size=2))
        ops = draw(st.lists(st.sampled_from(CELL_OPS), min_size=2, max_size=2))
        pair = [Node(f"e{n}", op, (f"n{s}",)) for n, (op, s) in enumerate(zip(ops, sources, strict=True))]
        join = draw(st.sampled_from([ADD(), ADD(), JOIN(), MAX(), GATE()]))
        inner = Graph(tuple(f"n{s}" for s in range(t)), (*pair, Node("s", join, ("e0", "e1"))), "s")
        nodes.append(Node(f"n{t}", inner, inner.inputs))
    joined = tuple(node.name for node in nodes)
    return Graph(("n0", "n1"), (*nodes, Node("joined", draw(st.sampled_from([CAT(), JOIN()])), joined)), "joined")


def network(one: Graph, other: Graph) -> Graph:
    enter = {"a": CONV(kernel=1), "b": POOL()}
    nodes: dict[str, tuple[object, object]] = {"stem": (CONV(), "x")}
    before, last = "stem", "stem"
    for i, body in enumerate((one, other, one, one)):
        nodes |= {f"a{i}": (enter["a"], before), f"b{i}": (enter["b"] if i else enter["a"], last)}
        nodes[f"cell{i}"] = (body, (f"a{i}", f"b{i}"))
        before, last = last, f"cell{i}"
    return graph(["x"], nodes | {"head": (BIAS(), last)}, "head")  # type: ignore[arg-type]


@settings(max_examples=40)
@given(cells(), cells(), st.randoms(use_true_random=False))
def test_cells_that_are_called_are_as_good_as_copies(one: Graph, other: Graph, rng: random.Random) -> None:
    made = network(one, other)
    flat = inline(made)
    known = digest(flat)
    for large in (2, program.LARGE):  # of how many rows on a cell is called
        with patch.object(program, "LARGE", large):
            assert digest(inlined_one(made, rng)) == digest(made) == digest(shuffled(made, rng)) == known
    assert digest(shuffled(flat, rng)) == known


def inlined_one(made: Graph, rng: random.Random) -> Graph:
    """With one of its cells written out."""
    cell = rng.choice([node for node in made.nodes if isinstance(node.op, Graph)])
    assert isinstance(cell.op, Graph)
    inner, out = inlined(cell.op, "w_", dict(zip(cell.op.inputs, cell.inputs, strict=True)))
    nodes = [n for node in made.nodes for n in (inner if node is cell else [node])]
    renamed = [
        node._replace(inputs=tuple(out if name == cell.name else name for name in node.inputs)) for node in nodes
    ]
    return Graph(made.inputs, tuple(renamed), made.output)


SIX = {f"c{i}": (CONV(kernel=i), "pq"[i % 2]) for i in range(6)}
SUM_FIRST = {"s": (ADD(), ("p", "q")), **{name: (op, "s") for name, (op, _) in SIX.items()}}
JOIN_FIRST = SUM_FIRST | {"s": (JOIN(), ("p", "q"))}


@pytest.mark.parametrize(
    ("nodes", "last", "called"),
    [
        (SIX, CAT(), True),
        (SIX, ADD(), False),
        (dict([*SIX.items()][:2]), CAT(), False),
        (SUM_FIRST, CAT(), False),
        (JOIN_FIRST, CAT(), False),
        ({name: (op, "p") for name, (op, _) in SIX.items()}, CAT(), False),
    ],
)
def test_a_cell_is_called_where_it_is_large_and_hides_no_cut(
    nodes: dict[str, tuple[object, object]], last: Block, called: bool
) -> None:
    body = graph(["p", "q"], nodes | {"end": (last, tuple(name for name in nodes if name != "s"))}, "end")  # type: ignore[arg-type]
    made = network(body, body)
    assert len(Programs(lambda block: 1).whole(made).calls) == (4 if called else 0)
    assert digest(made) == digest(inline(made))


def test_it_counts_which_of_two_equal_cells_is_read() -> None:
    cell = graph(["p", "q"], SIX | {"end": (CAT(), tuple(SIX))}, "end")  # type: ignore[arg-type]
    for op, reads in ((CONV(), ("l",)), (cell, ("l", "r"))):
        twins = {
            "l": (CONV(), "x"),
            "r": (POOL(), "x"),
            "a": (op, reads),
            "b": (op, reads),
            "c": (CAT(), ("a", "b", "l", "r")),
        }
        one, other = (graph(["x"], {**twins, "s": (ADD(), (name, "c"))}, "s") for name in "ab")  # type: ignore[arg-type]
        assert digest(one) != digest(other)
        assert digest(one) == digest(inline(one))


@pytest.mark.parametrize("join", [JOIN(), CAT()])
def test_it_counts_which_of_two_equal_blocks_are_added_before_a_join(join: Block) -> None:
    blocks = {"a": CONV(), "b": CONV(), "c": POOL(), "d": POOL()}
    twins: dict[str, tuple[object, object]] = {name: (op, "x") for name, op in blocks.items()}
    twins |= {f"read_{name}": (CONV(kernel=k), name) for k, name in enumerate(blocks)}
    made = []
    for left, right in ((("a", "c"), ("b", "d")), (("a", "d"), ("b", "c"))):
        sums = {"left": (ADD(), left), "right": (ADD(), right), "join": (join, ("left", "right"))}
        end = {"end": (CAT(), ("join", *(f"read_{name}" for name in blocks)))}
        made.append(graph(["x"], twins | sums | end, "end"))  # type: ignore[arg-type]
    assert not isomorphic(drawn(made[0]), drawn(made[1]))
    assert digest(made[0]) != digest(made[1])


@given(graphs(), graphs(inputs=2))
def test_the_rows_are_the_simplified_graph(one: Graph, two: Graph) -> None:
    for made in (one, two, network(two, two), chain(a=one, b=one)):
        whole = Programs(lambda block: len(block.label)).whole(made)
        rows = opened(whole, whole.calls)
        flat = flatten(made)
        assert rows.output == flat.output
        told = [(len(t.block.label), t.ports, t.block.signature.traits.role == "symmetric") for t in flat.terms]
        assert rows.rows == told


MULTIPLES = (BIAS(), ZERO(), ADD(), ADD(), CONV(), SKIP(), JOIN())


@settings(max_examples=300)
@given(*[graphs(most=5, ops=MULTIPLES)] * 3, st.randoms(use_true_random=False))
def test_nesting_of_multiples_and_constants_does_not_matter(
    one: Graph, other: Graph, third: Graph, rng: random.Random
) -> None:
    made = chain(a=one, b=other, c=chain(d=third, e=one))
    flat = inline(made)
    assert digest(made) == digest(flat) == digest(shuffled(flat, rng))


def test_what_follows_a_multiple_is_cut_alike_however_nested() -> None:
    double = graph(["x"], {"s": (ADD(), ("x", "x"))}, "s")
    after = graph(["x"], {"j": (JOIN(), "x"), "s": (ADD(), ("x", "j", "j"))}, "s")
    made = chain(a=double, b=after, c=double, d=CONV())
    assert digest(made) == digest(inline(made))


def test_constants_that_are_added_one_by_one_are_cut_alike_however_nested() -> None:
    nodes = {"z": (ZERO(), "x"), "c": (BIAS(), "z"), "s": (ADD(), ("x", "c"))}
    made = chain(a=CONV(), b=graph(["x"], nodes, "s"), c=graph(["x"], nodes, "s"), d=CONV())
    assert digest(made) == digest(inline(made))


@given(graphs(most=6), st.randoms(use_true_random=False))
def test_what_simplification_drops_does_not_matter(made: Graph, rng: random.Random) -> None:
    reads = rng.choice([*made.inputs, *(node.name for node in made.nodes)])
    more = (
        Node("dead", CONV(), (reads,)),
        Node("nothing", ZERO(), (reads,)),
        Node("nor this", CONV(), ("nothing",)),
        Node("same", SKIP(), (made.output,)),
        Node("sum", ADD(), ("nor this", "same")),
    )
    assert digest(Graph(made.inputs, made.nodes + more, "sum")) == digest(made)


FEW = (CONV(), SKIP(), ADD(), JOIN(), CAT())


@given(graphs(most=6, ops=FEW), graphs(most=6, ops=FEW))
@example(chain(a=CONV(), b=CONV()), chain(a=CONV(), b=CONV(kernel=1)))
def test_equal_exactly_when_isomorphic(one: Graph, other: Graph) -> None:
    assert (digest(one) == digest(other)) == isomorphic(drawn(one), drawn(other))


TWINS = (CONV(), CONV(), JOIN(), MAX(), ADD(), ADD(), POOL(), GATE())


@settings(max_examples=300)
@given(graphs(most=7) | graphs(most=8, ops=TWINS), st.randoms(use_true_random=False))
def test_one_changed_edge_is_told_exactly(made: Graph, rng: random.Random) -> None:
    nodes = list(made.nodes)
    i = rng.randrange(len(nodes))
    reads = list(nodes[i].inputs)
    reads[rng.randrange(len(reads))] = rng.choice([*made.inputs, *(node.name for node in nodes[:i])])
    nodes[i] = nodes[i]._replace(inputs=tuple(reads))
    other = Graph(made.inputs, tuple(nodes), made.output)
    assert (digest(made) == digest(other)) == isomorphic(drawn(made), drawn(other))


def every_graph(size: int, unary: tuple[Block, ...], joins: tuple[Block, ...]) -> list[Graph]:
    """Each node one block of one input, or a join of one or two; the output the last."""
    rows: list[list[tuple[Block, tuple[str, ...]]]] = []
    for i in range(size):
        names = ["x", *(f"n{j}" for j in range(i))]
        rows.append(
            [(op, (name,)) for op in unary for name in names]
            + [(op, pair) for op in joins for pair in itertools.combinations_with_replacement(names, 2)]
        )
    return [
        Graph(("x",), tuple(Node(f"n{i}", op, reads) for i, (op, reads) in enumerate(row)), f"n{size - 1}")
        for row in itertools.product(*rows)
    ]


@pytest.mark.parametrize(
    ("size", "unary", "joins"),
    [(4, (CONV(),), (ADD(),)), (3, (CONV(), POOL()), (ADD(), JOIN())), (3, (BIAS(), ZERO()), (ADD(), GATE()))],
)
def test_digests_are_the_classes_of_isomorphism(size: int, unary: tuple[Block, ...], joins: tuple[Block, ...]) -> None:
    classes: dict[str, nx.DiGraph] = {}
    for made in every_graph(size, unary, joins):
        picture = drawn(made)
        assert isomorphic(picture, classes.setdefault(digest(made), picture))
    alike: dict[object, list[nx.DiGraph]] = defaultdict(list)
    for picture in classes.values():
        alike[profile(picture)].append(picture)
    assert not [1 for same in alike.values() for a, b in itertools.combinations(same, 2) if isomorphic(a, b)]


def profile(picture: nx.DiGraph) -> object:
    """Equal for isomorphic pictures: every node's label with those of its neighbours."""

    def near(name: object) -> tuple[object, ...]:
        reads = [(picture.nodes[u]["label"], times) for u, _, times in picture.in_edges(name, data="times")]
        feeds = [(picture.nodes[v]["label"], times) for _, v, times in picture.out_edges(name, data="times")]
        return picture.nodes[name]["label"], tuple(sorted(reads)), tuple(sorted(feeds))

    return tuple(sorted(map(near, picture)))


def rings(*lengths: int) -> Graph:
    """Pairs of sums in rings: colour refinement alone tells no ring from another."""
    nodes, ends, first = [], [], 0
    for length in lengths:
        for i in range(length):
            nodes.append(Node(f"a{first + i}", CONV(), ("x",)))
        for i in range(length):
            both = (f"a{first + i}", f"a{first + (i + 1) % length}")
            nodes += [Node(f"s{first + i}", JOIN(), both), Node(f"b{first + i}", CONV(), (f"s{first + i}",))]
            ends.append(f"b{first + i}")
        first += length
    return Graph(("x",), (*nodes, Node("out", ADD(), tuple(ends))), "out")


@pytest.mark.parametrize("seed", range(3))
def test_rings_that_refinement_cannot_tell_are_told(seed: int) -> None:
    rng = random.Random(seed)
    made = {lengths: digest(rings(*lengths)) for lengths in [(6,), (3, 3), (4, 2), (8,), (4, 4), (5, 3), (3, 3, 2)]}
    assert len(set(made.values())) == len(made)
    for lengths, known in made.items():
        assert digest(shuffled(rings(*lengths), rng)) == known


def test_two_parallel_convolutions_stay_two() -> None:
    one = of({"a": (CONV(), "x")}, "a")
    two = of({"a": (CONV(), "x"), "b": (CONV(), "x"), "s": (ADD(), ("a", "b"))}, "s")
    twice_one = of({"a": (CONV(), "x"), "s": (ADD(), ("a", "a"))}, "s")
    assert len({one, two, twice_one}) == 3


def test_a_shared_convolution_is_not_a_copied_one() -> None:
    shared = {"a": (CONV(), "x"), "p": (POOL(), "a"), "q": (CONV(kernel=1), "a"), "s": (ADD(), ("p", "q"))}
    copied = {"a": (CONV(), "x"), "b": (CONV(), "x"), "p": (POOL(), "a"), "q": (CONV(kernel=1), "b")}
    assert of(shared, "s") != of({**copied, "s": (ADD(), ("p", "q"))}, "s")


def test_sums_are_flat_and_joins_are_not() -> None:
    for join, same in ((ADD(), True), (JOIN(), False), (CAT(), False)):
        leaves = {name: (CONV(kernel=kernel), "x") for name, kernel in (("a", 1), ("b", 3), ("c", 5))}
        left = {**leaves, "s": (join, ("a", "b")), "t": (join, ("s", "c"))}
        right = {**leaves, "s": (join, ("b", "c")), "t": (join, ("a", "s"))}
        assert (of(left, "t") == of(right, "t")) is same


def test_order_of_inputs_matters_where_it_is_not_declared_away() -> None:
    for join, same in ((ADD(), True), (JOIN(), True), (CAT(), False), (GATE(), False)):
        leaves = {"a": (CONV(), "x"), "b": (POOL(), "x")}
        one, other = ({**leaves, "s": (join, order)} for order in (("a", "b"), ("b", "a")))
        assert (of(one, "s") == of(other, "s")) is same


def test_zeros_vanish_only_where_the_block_keeps_them() -> None:
    branch = {"a": (CONV(), "x"), "z": (ZERO(), "x")}
    assert of({**branch, "b": (CONV(), "z"), "s": (ADD(), ("a", "b"))}, "s") == of({"a": (CONV(), "x")}, "a")
    assert of({**branch, "b": (BIAS(), "z"), "s": (ADD(), ("a", "b"))}, "s") != of({"a": (CONV(), "x")}, "a")


def test_a_default_given_by_hand_is_the_default() -> None:
    assert digest(chain(a=CONV(kernel=3))) == digest(chain(a=CONV())) != digest(chain(a=CONV(kernel=5)))


def test_inputs_are_told_apart() -> None:
    def towers(first: Block, second: Block) -> str:
        nodes = {"a": (first, "p"), "b": (second, "q"), "s": (ADD(), ("a", "b"))}
        return digest(graph(["p", "q"], nodes, "s"))

    assert towers(CONV(), POOL()) != towers(POOL(), CONV())
    assert digest(graph(["p", "q"], {"a": (CONV(), "p"), "s": (ADD(), ("a", "q"))}, "s")) != digest(chain(a=CONV()))


def test_nas_bench_201_has_5425_networks() -> None:
    assert len({made.digest for made in toys.cell_space().enumerate()}) == 5425


def digests() -> list[str]:
    rng = random.Random(0)
    made = [space.sample(rng) for space in (toys.cell_space(), toys.conditional_space()) for _ in range(50)]
    return [one.digest for one in made] + [digest(rings(5, 3)), digest(rings(8))]


def test_digests_are_the_same_in_another_process() -> None:
    answers = [digests()]
    for seed in ("1", "2"):
        code = "import test_digest; print(*test_digest.digests())"
        env = {**os.environ, "PYTHONHASHSEED": seed}
        here = os.path.dirname(__file__)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=here, env=env, capture_output=True, text=True, check=True
        )
        answers.append(done.stdout.split())
    assert answers[0] == answers[1] == answers[2]
