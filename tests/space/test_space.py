"""What a space derives for its author: size, samples, mutations, crossover, neighbours; tried on random spaces."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_graphs import ADD, CONV, POOL, SKIP, ZERO, opened, spaces

from nas.errors import SpaceError
from nas.space.graph import Choice, Repeat, chain, choice, dense_cell, graph, repeat, subset
from nas.space.space import Space
from nas.testing import Check, toys
from nas.testing import spaces as kit

ELSEWHERE = {"elsewhere", "build", "blocks"}
"""Words in the names of checks that need a process of their own, or shapes."""
HERE = [check for check in kit.CHECKS if not ELSEWHERE & set(check.__name__.split("_"))]


@dataclass(frozen=True)
class Ready:
    """A space in the place of a registered one."""

    made: Space

    def space(self) -> Space:
        return self.made


def points(space: Space) -> set[frozenset[tuple[str, object]]]:
    """All assignments of open decisions, found by trying every combination of all options."""
    labels = {d.label: d.names for d in space.decisions}
    return {
        frozenset(opened(space.graph, dict(zip(labels, names, strict=True))))
        for names in itertools.product(*labels.values())
    }


def enumerated(space: Space) -> list[frozenset[tuple[str, object]]]:
    return [frozenset(made.decisions.items()) for made in space.enumerate()]


@settings(max_examples=60)
@given(spaces())
def test_size_and_enumeration_are_what_the_words_of_the_space_say(space: Space) -> None:
    combinations = 1
    for decision in space.decisions:
        combinations *= len(decision.names)
    found = enumerated(space)
    assert len(found) == len(set(found)) == space.size
    if combinations <= 3000:
        assert set(found) == points(space)


@settings(max_examples=25)
@given(spaces())
@pytest.mark.parametrize("check", HERE, ids=lambda check: check.__name__)
def test_random_spaces_pass_the_checks(check: Check, space: Space) -> None:
    check(Ready(space))  # type: ignore[arg-type]


@pytest.mark.parametrize("space", [toys.cell_space(), toys.conditional_space()], ids=lambda space: space.name)
@pytest.mark.parametrize("check", HERE, ids=lambda check: check.__name__)
def test_toy_spaces_pass_the_checks(check: Check, space: Space) -> None:
    check(Ready(space))  # type: ignore[arg-type]


def test_the_size_of_spaces_that_cannot_be_enumerated() -> None:
    def edge(i: int, j: int) -> Choice:
        return choice(f"e{i}{j}", a=CONV(), b=POOL(), c=SKIP())

    assert Space(dense_cell(9, edge, ADD())).size == 3**36
    kernel = choice("kernel", 3, 5)
    block = choice("block", conv=CONV(kernel=kernel), pool=POOL(), skip=SKIP())
    untied = Space(chain(a=repeat(block, choice("depth", *range(1, 21)), tied=False)), inputs=["image"])
    assert untied.size == sum(4**depth for depth in range(1, 21))


def test_a_label_used_twice_is_one_decision() -> None:
    kernel = choice("kernel", 1, 3)
    tied = Space(chain(a=CONV(kernel=kernel), b=CONV(kernel=kernel)), inputs=["image"])
    free = Space(chain(a=CONV(kernel=kernel), b=CONV(kernel=choice("other", 1, 3))), inputs=["image"])
    assert (tied.size, free.size) == (2, 4)
    for made in tied.enumerate():
        assert len({node.op.params for node in made.graph.nodes}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(("tied", "size"), [(True, 3), (False, 27)])
def test_copies_of_a_repeat_decide_together_or_each_for_itself(tied: bool, size: int) -> None:
    space = Space(chain(a=repeat(CONV(kernel=choice("kernel", 1, 3, 5)), 3, tied=tied)), inputs=["image"])
    assert space.size == size


def test_a_decision_exists_only_while_its_option_is_taken() -> None:
    space = Space(chain(a=choice("op", conv=CONV(kernel=choice("kernel", 1, 3, 5)), pool=POOL())), inputs=["image"])
    assert space.size == 4
    assert dict(space.architecture({"op": "pool"}).decisions) == {"op": "pool"}
    with pytest.raises(SpaceError, match="decision 'kernel' is not open"):
        space.architecture({"op": "pool", "kernel": 3})


def test_a_depth_that_two_options_share_opens_only_what_stands_in_the_one_taken() -> None:
    depth, kernel = choice("depth", 1, 2, 3), choice("kernel", 1, 3, 5)
    block = choice("block", conv=repeat(CONV(kernel=kernel), depth), pool=repeat(POOL(), depth))
    space = Space(chain(a=block), inputs=["image"])
    assert space.size == 3 * 3 + 3
    assert dict(space.architecture({"block": "pool", "depth": 2}).decisions) == {"block": "pool", "depth": 2}


def test_a_depth_may_stand_inside_what_it_repeats() -> None:
    times = choice("times", 1, 2)
    space = Space(chain(a=repeat(repeat(CONV(), times), times)), inputs=["image"])
    assert space.size == 2
    assert [len(made.to_networkx()) - 2 for made in space.enumerate()] == [1, 4]


def test_names_of_nodes_are_stable_paths() -> None:
    space = toys.conditional_space()
    rng = random.Random(0)
    one = space.architecture({"body": "deep", "depth": 3}, fill=True)
    paths = set(one.to_networkx())
    assert {"stem", "a/layer0", "a/layer1", "a/layer2", "head"} <= paths
    for _ in range(20):
        kept = set(space.mutate(one, rng).to_networkx())
        assert {"stem", "head"} <= kept


def test_a_choice_of_inputs_and_of_a_graph() -> None:
    first, second = chain(p=CONV(), q=CONV()), chain(p=POOL())
    nodes = {
        "a": (CONV(), "x"),
        "b": (choice("way", long=first, short=second), "a"),
        "c": (ADD(), subset("from", ("x", "a", "b"), 2)),
    }
    space = Space(graph(["x"], {**nodes, "d": (ADD(), ("b", "c"))}, "d"), inputs=["image"])
    assert space.size == 6
    made = space.architecture({"way": "short", "from": "x+b"})
    assert made.graph.nodes[2].inputs == ("x", "b")


def test_sampling_draws_every_open_decision_evenly() -> None:
    space, rng = toys.cell_space(), random.Random(0)
    drawn = [space.sample(rng).decisions for _ in range(2000)]
    for label in drawn[0]:
        shares = Counter(decisions[label] for decisions in drawn)
        assert all(340 < times < 460 for times in shares.values()), shares


def test_mutation_draws_decisions_and_options_evenly() -> None:
    space, rng = toys.cell_space(), random.Random(0)
    made = space.reference
    changes = Counter()
    for _ in range(2400):
        mutant = space.mutate(made, rng)
        changes.update((k, v) for k, v in mutant.decisions.items() if made.decisions[k] != v)
    assert len(changes) == 24
    assert all(60 < times < 145 for times in changes.values()), changes


def test_several_changes_at_once() -> None:
    space, rng = toys.cell_space(), random.Random(0)
    made = space.reference
    apart = [
        sum(made.decisions[k] != v for k, v in space.mutate(made, rng, changes=3).decisions.items()) for _ in range(50)
    ]
    assert max(apart) == 3
    assert min(apart) >= 0


def test_mutation_of_a_space_with_one_point_gives_it_back() -> None:
    space = Space(chain(a=CONV(kernel=choice("kernel", 3))), inputs=["image"])
    assert space.mutate(space.reference, random.Random(0)) == space.reference
    assert list(space.neighbours(space.reference)) == []
    assert space.size == 1


def test_crossover_draws_both_parents_evenly() -> None:
    space, rng = toys.cell_space(), random.Random(0)
    one, other = (space.architecture({d.label: d.names[i] for d in space.decisions}) for i in (0, 1))
    from_one = sum(
        option == one.decisions[label]
        for _ in range(200)
        for label, option in space.crossover(one, other, rng).decisions.items()
    )
    assert 520 < from_one < 680


def test_the_reference_fills_what_it_leaves_out_with_first_options() -> None:
    made = toys.conditional_space().reference
    assert made.decisions["body"] == "deep"
    assert made.decisions["width"] == 8


def test_options_equal_in_python_but_not_in_json_stay_apart() -> None:
    space = Space(chain(a=CONV(kernel=choice("kernel", 1, True, 1.0, "1", None))), inputs=["image"])
    assert space.size == 5
    assert len({repr(made.decisions["kernel"]) for made in space.enumerate()}) == 5
    for made in space.enumerate():
        assert made in space


def test_an_architecture_of_another_space_is_not_in_it() -> None:
    cell, conditional = toys.cell_space(), toys.conditional_space()
    assert cell.reference not in conditional
    assert "no architecture" not in cell
    other = Space(chain(a=CONV(kernel=choice("kernel", 1, 3))), inputs=["image"])
    same_decisions = Space(chain(a=POOL(), b=CONV(kernel=choice("kernel", 1, 3))), inputs=["image"])
    assert other.reference not in same_decisions


def test_a_space_without_choices_has_one_architecture() -> None:
    space = Space(chain(a=CONV(), z=ZERO()), inputs=["image"])
    assert space.size == 1
    assert list(space.enumerate()) == [space.reference] == [space.sample(random.Random(0))]


@given(st.integers(0, 3))
def test_a_repeat_of_a_number_is_that_many_copies(times: int) -> None:
    made = Space(chain(a=Repeat(CONV(), times)), inputs=["image"]).reference
    assert len([path for path in made.to_networkx() if path.startswith("a/cell")]) == times


def test_only_a_reference_that_its_author_names_is_one() -> None:
    graph = chain(a=CONV(kernel=choice("kernel", 1, 3)))
    assert not Space(graph).has_reference
    named = Space(graph, reference={}).bound(["image"], "named")
    assert named.has_reference
    assert named.reference.decisions["kernel"] == 1


def test_options_that_python_calls_equal_stay_apart() -> None:
    space = Space(chain(a=CONV(kernel=choice("kernel", True, 1, 1.0))))
    assert [repr(made.graph.nodes[0].op.params) for made in space.enumerate()] == [  # type: ignore[union-attr]
        "(('kernel', True),)",
        "(('kernel', 1),)",
        "(('kernel', 1.0),)",
    ]
    assert len({made.digest for made in space.enumerate()}) == 3
