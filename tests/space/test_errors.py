"""What is wrong with a graph or a space is said where it is, with the nearest name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from made_graphs import ADD, CONV, GATE, JOIN, POOL, SKIP

from nas.errors import ConfigError, SpaceError, UnknownNameError
from nas.space.graph import Graph, Node, Repeat, Signature, chain, choice, dense_cell, graph, repeat, subset
from nas.space.ports import Port
from nas.space.space import Space
from nas.testing import toys

HEAD = toys.HEAD


def cycle() -> object:
    return graph(["x"], {"a": (ADD(), ("x", "c")), "b": (CONV(), "a"), "c": (CONV(), "b")}, "c")


def cycle_through_a_choice() -> object:
    return graph(["x"], {"a": (ADD(), subset("from", ("x", "b"), 1)), "b": (CONV(), "a")}, "b")


def dangling() -> object:
    return graph(["x"], {"a": (CONV(), "x"), "b": (CONV(), "x")}, "a")


def unknown_input() -> object:
    return graph(["x"], {"first": (CONV(), "x"), "second": (CONV(), "frist")}, "second")


def unknown_output() -> object:
    return graph(["x"], {"first": (CONV(), "x")}, "fist")


def twice_one_name() -> object:
    return Graph.checked(["x"], [Node("a", CONV(), ("x",)), Node("a", CONV(), ("a",))], "a")


def name_of_the_input() -> object:
    return chain(x=CONV())


def name_with_a_slash() -> object:
    return chain(**{"a/b": CONV()})


def reused_label() -> object:
    stage = chain(a=CONV(kernel=choice("kernel", 1, 3)))
    return Space(chain(one=stage, two=CONV(kernel=choice("kernel", 3, 5))), inputs=["image"])


def reused_label_of_times() -> object:
    return Space(chain(one=repeat(CONV(), choice("n", 1, 2)), two=repeat(CONV(), choice("n", 1, 3))), inputs=["image"])


def unfit_port() -> object:
    return Space(chain(stage=chain(head=HEAD(), conv=CONV())), inputs=["image"])


def unfit_port_in_every_option() -> object:
    return Space(chain(head=HEAD(), op=choice("op", conv=CONV(), pool=POOL())), inputs=["image"])


def unfit_task() -> object:
    return Space(chain(conv=CONV()), inputs=["tokens"])


def too_few_inputs() -> object:
    return Space(graph(["x"], {"g": (GATE(), "x")}, "g"), inputs=["image"])


def inputs_of_a_graph() -> object:
    return Space(graph(["x"], {"g": (chain(a=CONV()), ("x", "x"))}, "g"), inputs=["image"])


def inputs_of_the_task() -> object:
    return Space(chain(a=CONV()), inputs=["image", "image"])


def reference(**decisions: Any) -> Callable[[], object]:
    return lambda: Space(chain(op=choice("kernel", a=CONV(), b=POOL())), reference=decisions)


CASES: list[tuple[Callable[[], object], str]] = [
    (cycle, r"the graph has a cycle: (a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)$"),
    (cycle_through_a_choice, "the graph has a cycle"),
    (dangling, "node 'b' is dangling: nothing leads from it to 'a'"),
    (unknown_input, "node 'second': unknown input 'frist'; did you mean 'first'. known: first, second, x"),
    (unknown_output, "unknown output node 'fist'; did you mean 'first'"),
    (twice_one_name, "node name 'a' is used twice"),
    (name_of_the_input, "node name 'x' is used twice"),
    (name_with_a_slash, "expected a node name without '/' or '.', got 'a/b'"),
    (lambda: choice("empty"), "choice 'empty' has no options; give at least one"),
    (lambda: choice("kernel", 3, 5, 3), "choice 'kernel' has option 3 more than once"),
    (lambda: subset("from", ("a", "b"), 3), "choice 'from' has no options"),
    (lambda: repeat(CONV(), -1), "repeat 'cell': expected times to be integers >= 0, got -1"),
    (lambda: repeat(CONV(), choice("n", 1, "two")), "expected times to be integers >= 0, got 'two'"),
    (lambda: repeat(CONV(), True), "expected times to be integers >= 0, got True"),
    (lambda: dense_cell(1, lambda i, j: CONV(), ADD()), "expected a cell of at least 2 nodes, got 1"),
    (lambda: graph(["x"], {"a": (CONV(), 3)}, "a"), "node 'a': expected input names.*got 3"),
    (lambda: graph(["x"], {"a": (CONV(), choice("in", 1, 2))}, "a"), "node 'a': expected tuples of input names, got 1"),
    (reused_label, "two: label 'kernel' is used for other options at one/a; give one of the two another label"),
    (reused_label, r"another label \(3 \| 5 here, 1 \| 3 there\)$"),
    (reused_label_of_times, "two: label 'n' is used for other options at one"),
    (unfit_port, "stage/conv: block toy_conv takes image at input 0, got vector"),
    (unfit_port_in_every_option, "op: block toy_(conv|pool) takes image at input 0, got vector"),
    (unfit_task, "conv: block toy_conv takes image at input 0, got tokens"),
    (too_few_inputs, "g: block gate takes 2 inputs, got 1"),
    (inputs_of_a_graph, "g: takes 1 input, got 2"),
    (inputs_of_the_task, "the space takes 1 input, the task has 2"),
    (lambda: Space(chain(a="conv")), "a: expected a block, graph, choice or repeat, got 'conv'"),  # type: ignore[arg-type]
    (reference(kernl="a"), "the reference architecture: unknown decision 'kernl'; did you mean 'kernel'"),
    (reference(kernel="c"), "the reference architecture: unknown option of decision 'kernel' 'c'; known: a, b"),
]


@pytest.mark.parametrize(("make", "message"), CASES, ids=[message[:40] for _, message in CASES])
def test_bad_input_is_told(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_parameter_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown parameter of block 'toy_conv' 'kernal'; did you mean 'kernel'"
    ):
        CONV.__call__ if False else toys.CONV(kernal=3)


@pytest.mark.parametrize("word", ["imag", "image|vektor", ""])
def test_an_unknown_kind_of_port_is_refused(word: str) -> None:
    with pytest.raises((ValueError, ConfigError), match="unknown port kind"):
        Signature("b", (word,))


@pytest.mark.parametrize(
    ("kind", "shape"), [("image", (3, 32)), ("vector", (0,)), ("sequence", (4,)), ("picture", (3, 32, 32))]
)
def test_a_port_of_another_shape_is_refused(kind: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected (image|vector|sequence|a port kind)"):
        Port(kind, shape)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ({}, "no decision is given for 'op'"),
        ({"op": "cnov"}, "unknown option of decision 'op' 'cnov'; did you mean 'conv'"),
        ({"op": "conv", "kernels": 3}, "unknown decision 'kernels'; did you mean 'kernel'"),
        ({"op": "conv", "kernel": "3"}, "unknown option of decision 'kernel' '3'"),
        ({"op": "skip", "kernel": 3}, "decision 'kernel' is not open under the others given"),
    ],
)
def test_decisions_that_are_no_point_are_refused(decisions: dict[str, Any], message: str) -> None:
    ops = choice("op", conv=CONV(kernel=choice("kernel", 1, 3)), skip=SKIP())
    space = Space(chain(a=ops, b=JOIN()), inputs=["image"])
    with pytest.raises(SpaceError, match=re.escape(message)):
        space.architecture(decisions)


def test_a_repeat_needs_a_choice_of_numbers_before_it_is_used() -> None:
    with pytest.raises(SpaceError, match="no options"):
        Repeat(CONV(), choice("n"))
