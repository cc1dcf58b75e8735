"""Chains of blocks: counted by hand on small graphs, and the same for the same network."""

from __future__ import annotations

import random

from nas.space.architecture import Architecture
from nas.space.encode import chains
from nas.space.graph import Signature, Traits, chain, graph
from nas.testing import toys

A = Signature("a", parameters={"k": 1})
B = Signature("b")
SKIP = Signature("skip", traits=Traits("identity"))
ADD = Signature("add", ("any", "*"), traits=Traits("sum"))


def test_chains_of_a_row() -> None:
    found = chains(Architecture(chain(one=A(), two=B(), three=A(k=3))))
    assert dict(found) == {
        ("a",): 1,
        ("b",): 1,
        ("a(k=3)",): 1,
        ("output",): 1,
        ("input", "a"): 1,
        ("a", "b"): 1,
        ("b", "a(k=3)"): 1,
        ("a(k=3)", "output"): 1,
        ("input", "a", "b"): 1,
        ("a", "b", "a(k=3)"): 1,
        ("b", "a(k=3)", "output"): 1,
    }


def test_identities_and_sums_leave_no_trace_and_branches_count_each() -> None:
    split = graph(["x"], {"s": (SKIP(), "x"), "l": (A(), "s"), "r": (A(), "x"), "j": (ADD(), ("l", "r"))}, "j")
    found = chains(Architecture(chain(split=split, last=B())))
    assert found["a",] == 2
    assert found["input", "a", "b"] == 2
    assert found["a", "b", "output"] == 2
    assert not any("skip" in link or "add" in link for chain_ in found for link in chain_)


def test_networks_with_one_digest_have_one_encoding() -> None:
    space, rng = toys.conditional_space(), random.Random(0)
    known: dict[str, object] = {}
    for made in (space.sample(rng) for _ in range(300)):
        assert known.setdefault(made.digest, chains(made)) == chains(made)
    assert len(known) > 20


def test_chains_go_into_graphs_that_blocks_hold() -> None:
    layer = Signature("layer", parameters={"cell": None, "width": 4})
    one, other = (Architecture(chain(only=layer(cell=chain(a=A(), last=last), width=8))) for last in (B(), A(k=2)))
    assert chains(one)["layer(width=8)+graph",] == chains(other)["layer(width=8)+graph",] == 1
    assert chains(one)["a", "b", "output"] == 1
    shared = set(chains(one)) & set(chains(other))
    assert {("a",), ("input", "a"), ("input", "layer(width=8)+graph", "output")} <= shared
