"""An architecture goes through JSON unchanged; what is damaged is refused, never half read."""

from __future__ import annotations

import copy
import json
import pickle
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_graphs import ADD, CELL, CONV, SKIP, graphs, spaces

from nas.errors import SpaceError
from nas.space.architecture import Architecture
from nas.space.graph import Graph, chain, choice, graph
from nas.space.space import Space
from nas.testing import toys


@given(graphs(inputs=2))
def test_any_graph_goes_through_json(made: Graph) -> None:
    try:
        Graph.checked(made.inputs, made.nodes, made.output)
    except SpaceError:
        return  # has dead nodes, which no architecture of a space has
    one = Architecture(made, {"a": 1, "b": "two", "c": None, "d": True, "e": 0.5})
    back = Architecture.from_json(one.to_json())
    assert back == one
    assert back.digest == one.digest
    assert back.to_json() == one.to_json()
    assert back.to_dict() == json.loads(one.to_json())


@given(spaces(), st.randoms(use_true_random=False))
def test_architectures_of_spaces_go_through_json(space: Space, rng: random.Random) -> None:
    one = space.sample(rng)
    back = Architecture.from_json(one.to_json())
    assert back == one
    assert back in space
    assert hash(back) == hash(one)


def test_parameters_of_every_kind_go_through_json() -> None:
    inner = chain(a=CONV(), b=SKIP())
    block = CELL(kernel=5, bias=False, widths=(4, 8), inner=inner)
    one = Architecture(chain(a=block, b=CELL(widths=[1, 2])))
    back = Architecture.from_json(one.to_json())
    assert back == one
    assert back.digest == one.digest
    assert back.graph.nodes[0].op == block


def test_a_cell_used_many_times_is_written_once() -> None:
    text = toys.cell_space().reference.to_json()
    assert text.count('["edge01",{') == 1
    assert "\n" not in text


def damaged(data: Any, rng: random.Random) -> Any:
    """`data` with one value anywhere removed or replaced."""
    data = copy.deepcopy(data)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            walk(value[key])

    walk(data)
    holder, key = places[rng.randrange(len(places))]
    if rng.random() < 0.3:
        del holder[key]
    else:
        holder[key] = rng.choice([None, -1, 7, 0.5, True, "", "x", [], ["x"], [[]], {}, {"graph": 0}, [1, 2, 3]])
    return data


@example(2706)  # a node that lost its input, and another that nothing uses any more
@given(st.integers(0, 10**9))
def test_damaged_json_is_refused_or_is_another_architecture(seed: int) -> None:
    rng = random.Random(seed)
    space = rng.choice([toys.cell_space(), toys.conditional_space()])
    data = damaged(json.loads(space.sample(rng).to_json()), rng)
    try:
        back = Architecture.from_json(json.dumps(data))
    except SpaceError:
        return
    assert isinstance(back, Architecture)
    assert len(back.digest) == 32
    assert Architecture.from_json(back.to_json()) == back


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected an architecture as JSON"),
        ("{", "expected an architecture as JSON"),
        (b"\xff\xfe", "expected an architecture as JSON"),
        ("[]", "expected an architecture of format 1, got 'list'"),
        ("null", "expected an architecture of format 1, got 'NoneType'"),
        ("{}", "expected an architecture of format 1, got None"),
        ('{"format": 2}', "expected an architecture of format 1, got 2"),
        ('{"format": 1}', "the architecture is incomplete or damaged"),
    ],
)
def test_text_that_is_no_architecture_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Architecture.from_json(text)


def test_equal_means_graph_and_decisions_same_means_digest() -> None:
    nodes = {"a": (CONV(), "x"), "s": (ADD(), ("a", "x"))}
    one = Architecture(graph(["x"], nodes, "s"), {"op": "conv"})
    renamed = Architecture(graph(["y"], {"b": (CONV(), "y"), "t": (ADD(), ("y", "b"))}, "t"), {"op": "conv"})
    assert one != renamed
    assert one.digest == renamed.digest
    assert one != Architecture(one.graph, {"op": "pool"})


def test_an_architecture_can_be_pickled_and_copied() -> None:
    one = toys.conditional_space().sample(random.Random(0))
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one


def test_the_drawn_graph_is_simplified_and_labelled() -> None:
    nodes = {"a": (CONV(kernel=5), "x"), "b": (SKIP(), "a"), "s": (ADD(), ("b", "x")), "h": (toys.HEAD(), "s")}
    drawn = Architecture(graph(["x"], nodes, "h")).to_networkx()
    assert set(drawn.edges) == {("x", "a"), ("a", "h"), ("x", "h"), ("h", "output")}
    assert drawn.nodes["a"] == {"label": "toy_conv(kernel=5)", "block": "toy_conv", "params": {"kernel": 5}}


def test_an_architecture_with_a_choice_left_has_no_json() -> None:
    with pytest.raises((SpaceError, AssertionError, TypeError)):
        Architecture(chain(a=choice("op", a=CONV(), b=SKIP()))).to_json()
