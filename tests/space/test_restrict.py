"""A space cut down is a part of the whole: the same networks, fewer of them."""

from __future__ import annotations

import random

import pytest

from nas.errors import SpaceError
from nas.space.graph import chain, choice, repeat
from nas.space.restrict import Only, restrict
from nas.space.space import Space
from nas.testing import toys


def cut(whole: Space, only: Only) -> Space:
    return Space(restrict(whole.graph, only), inputs=["image"])


@pytest.mark.parametrize(
    "only",
    [
        {"edge01": ["none", "conv3"], "edge23": ["skip"]},
        {f"edge{i}{j}": ["conv1", "pool"] for i, j in ((0, 1), (0, 2), (1, 2))},
    ],
)
def test_what_is_left_has_exactly_the_options_named(only: Only) -> None:
    whole = toys.cell_space()
    part = cut(whole, only)
    wanted = {
        tuple(made.decisions.items())
        for made in whole.enumerate()
        if all(made.decisions[label] in names for label, names in only.items())
    }
    found = list(part.enumerate())
    assert {tuple(made.decisions.items()) for made in found} == wanted
    assert part.size == len(wanted)
    for made in random.Random(0).sample(found, 20):
        assert made in whole
        assert made.digest == whole.architecture(made.decisions).digest


@pytest.mark.parametrize(
    ("label", "names"),
    [("kernel", [3]), ("depth", [1, 3]), ("body", ["deep", "pool"]), ("last_in", ["stem", "b"]), ("width", [16])],
)
def test_choices_of_every_kind_are_cut(label: str, names: list[object]) -> None:
    """A parameter, a number of repeats, sub-graphs, inputs: wherever a choice may stand."""
    whole = toys.conditional_space()
    known = {decision.label: decision.names for decision in whole.decisions}[label]
    names = [name for name in known if name in names or str(name) in map(str, names)]
    part = cut(whole, {label: names})  # type: ignore[dict-item]
    assert {decision.label: decision.names for decision in part.decisions}[label] == tuple(names)
    assert part.size < whole.size
    assert all(made in whole for made in part.enumerate())


def test_copies_that_decide_for_themselves_are_cut_alike() -> None:
    layer = choice("op", conv=toys.CONV(), pool=toys.POOL(), skip=toys.SKIP())
    whole = Space(chain(body=repeat(layer, 3, tied=False), head=toys.HEAD()), inputs=["image"])
    part = cut(whole, {"op": ["conv", "skip"]})
    assert (whole.size, part.size) == (27, 8)


def test_nothing_named_leaves_the_whole() -> None:
    whole = toys.conditional_space()
    assert cut(whole, {}).size == whole.size


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ({"edge0": ["none"]}, "unknown decision 'edge0'; did you mean 'edge"),
        ({"edge01": ["conv33"]}, "unknown option of decision 'edge01' 'conv33'; did you mean 'conv3'"),
        ({"edge01": ["none", "conv33"]}, "unknown option of decision 'edge01' 'conv33'"),
        ({"edge01": []}, "decision 'edge01' is left without an option; name at least one"),
    ],
)
def test_what_cannot_be_is_told(only: Only, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        restrict(toys.cell_space().graph, only)
