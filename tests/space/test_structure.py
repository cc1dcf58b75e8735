from __future__ import annotations

import pytest

from nas.errors import SpaceError
from nas.space.graph import Graph, Signature, chain, choice, graph, repeat, subset
from nas.space.space import Space
from nas.space.structure import Structures, labels

CONV = Signature("conv", ("image",), "image", {"kernel": 3})
ADD = Signature("add", ("any", "*"))


def cell(kernel: object = 3, label: str = "kernel", tied: bool = True, twice: bool = False) -> Graph:
    body = CONV(kernel=choice(label, 1, kernel))
    nodes = {"a": (repeat(body, 2, tied=tied), "x"), "sum": (ADD(), ("x", "a", "a") if twice else ("x", "a"))}
    return graph(["x"], nodes, "sum")


def test_equal_elements_made_apart_have_one_number() -> None:
    numbers = Structures()
    assert numbers.number(cell()) == numbers.number(cell())
    assert numbers.number(CONV(kernel=5)) == numbers.number(CONV(kernel=5))


def test_whatever_differs_has_a_number_of_its_own() -> None:
    made = [cell(), cell(5), cell(3.0), cell(label="size"), cell(tied=False), cell(twice=True)]
    made += [CONV(), CONV(kernel=3), CONV(kernel=True), CONV(kernel=1), CONV(kernel=1.0)]
    made += [choice("k", 1, 2), choice("k", 2, 1), choice("j", 1, 2), subset("k", "ab", 1), chain(a=CONV())]
    made += [repeat(CONV(), 2), repeat(CONV(), 3), repeat(CONV(), 2, name="other")]
    numbers = Structures()
    assert len({numbers.number(element) for element in made}) == len(made)


def test_untied_repeats_are_found_wherever_they_are() -> None:
    numbers = Structures()
    assert numbers.decides_by_place(chain(a=chain(b=cell(tied=False))))
    assert numbers.decides_by_place(choice("which", a=CONV(), b=repeat(CONV(), 2, tied=False)))
    assert not numbers.decides_by_place(chain(a=cell(), b=CONV()))


def test_labels_are_those_that_were_written_wherever_they_are() -> None:
    inside = choice("which", a=repeat(cell(tied=False), choice("times", 1, 2)), b=CONV(kernel=choice("size", 1, 3)))
    nodes = {"a": (inside, "x"), "sum": (ADD(), subset("from", ("x", "a"), 1))}
    assert labels(graph(["x"], nodes, "sum")) == {"which", "times", "kernel", "size", "from"}


def test_a_label_used_for_one_and_for_true_is_refused() -> None:
    net = chain(a=CONV(kernel=choice("k", 1, 3)), b=CONV(kernel=choice("k", True, 3)))
    with pytest.raises(SpaceError, match="label 'k' is used for other options"):
        Space(net)
