"""What is said of a graph in C is what is said in Python, which goes on where C has no answer."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_graphs import graphs, wild

import nas
from nas.parts import Fitting
from nas.plugin.build import build_space
from nas.space import fingerprint
from nas.space.digest import _code, _planned, digest
from nas.space.graph import Graph
from nas.space.program import Program, Programs, opened

kernel = fingerprint.kernel
compiled = pytest.mark.skipif(kernel is None, reason="graphnas was installed without a compiler")

ROWS = [(3, ((0,),), False), (5, ((0, 1), (1,)), False)]


def answers(graph: Graph) -> list[bool]:
    """Whether C had an answer, for each segment of a graph with calls and without."""
    assert kernel
    found, calls = _planned(graph, Programs(_code))
    had = []
    for part in found.parts:
        if type(part) is bytes:
            continue
        flat = opened(part, calls)  # type: ignore[arg-type]
        for said in (kernel.said(part, calls), kernel.said(flat, ())):
            assert said in (fingerprint._said(flat), None)
            had.append(said is not None)
    return had


@compiled
@given(graphs(most=12) | graphs(most=8, inputs=2))
def test_c_says_what_python_says_of_any_graph(made: Graph) -> None:
    answers(made)


@compiled
@given(st.randoms(use_true_random=False))
def test_c_says_what_python_says_of_graphs_in_graphs(rng: random.Random) -> None:
    answers(wild(rng))


@compiled
def test_c_says_what_python_says_of_every_space_and_nearly_always_something() -> None:
    rng = random.Random(1)
    registry = nas.create_manager().registry
    fitting = Fitting(registry)
    for entry in registry.all("space"):
        space = build_space(registry, entry.name, fitting.task(entry.name)[1])
        had = [had for _ in range(20) for had in answers(space.sample(rng).graph)]
        assert sum(had) >= 0.9 * len(had), space.name


@compiled
@pytest.mark.parametrize(
    ("k", "rows", "output", "calls", "expected"),
    [
        (1, [(3, ((1,),), False)], (1,), [], "an earlier term"),
        (1, [(3, ((-1,),), False)], (1,), [], "an earlier term"),
        (1, ROWS, (3,), [], "an earlier term"),
        (-1, ROWS, (2,), [], "an earlier term"),
        (1, [(3, ((0,),))], (1,), [], "rows of a code, ports"),
        (1, [(3, (0,), False)], (1,), [], "ports with tuples"),
        (1, [(3.0, ((0,),), False)], (1,), [], "rows of a code"),
        (1, tuple(ROWS), (1,), [], "a list of rows"),
        (1, [(-1, ((0,),), False)], (1,), [], "a call of what there is"),
        (1, [(-1, ((0,),), False)], (1,), [Program(2, ROWS, (3,))], "a value for each input"),
        (1, [(-1, ((0,),), False)], (1,), [Program(1, [(-1, ((0,),), False)], (1,))], "a call of what there is"),
        (1, ROWS, (2,), {}, "a list of calls"),
    ],
)
def test_what_is_no_program_is_refused(k: int, rows: Any, output: Any, calls: Any, expected: str) -> None:
    assert kernel
    with pytest.raises(ValueError, match=expected):
        kernel.said(Program(k, rows, output), calls)


@compiled
def test_a_code_of_more_than_128_bits_is_refused() -> None:
    assert kernel
    with pytest.raises((ValueError, OverflowError)):
        kernel.said(Program(1, [(1 << 128, ((0,),), False)], (1,)), [])


@compiled
def test_memory_is_given_back() -> None:
    assert kernel
    rows = [(3, ((t, 0), (t,)), False) for t in range(2_000)]
    graph = Program(1, rows, (2_000,))
    size = resident()
    for _ in range(300):
        kernel.said(graph, [])
    assert resident() - size < 10_000_000  # each takes 300 kB


def resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def test_what_was_compiled_is_used() -> None:
    assert (kernel is not None) == (find_spec("nas.space._fingerprint") is not None)


def test_a_graph_of_many_ports_is_left_to_python() -> None:
    ports = tuple([(0,)] * 300)
    graph = Program(1, [(3, ports, False)], (1,))
    assert kernel is None or kernel.said(graph, []) is None
    assert len(fingerprint.fingerprint(graph, [])) == 16


def refused(*args: object) -> None:
    raise ValueError("expected something else")


@pytest.mark.parametrize(
    "other",
    [
        {"KEYS": 4, "prepare": lambda odd, out, keys: None, "said": lambda graph, calls: b"else"},
        {"KEYS": 4, "prepare": refused},
        {"said": lambda graph: b"else"},
    ],
)
def test_a_module_of_another_version_is_not_used(other: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="other.so is of another version of graphnas; install that again"):
        assert fingerprint._trusted(SimpleNamespace(**other, __file__="other.so")) is None  # type: ignore[arg-type]


def test_digests_are_the_same_without_the_compiled_module() -> None:
    code = (
        "import sys; sys.modules['nas.space._fingerprint'] = None\n"
        "import random; from made_graphs import wild; from nas.space.digest import digest\n"
        "from nas.space import fingerprint; assert fingerprint.kernel is None\n"
        "print([digest(wild(random.Random(i))) for i in range(40)])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == str([digest(wild(random.Random(i))) for i in range(40)])
