"""Decisions beside the graph: part of what a candidate is, and of no network."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from nas.errors import SpaceError
from nas.space.architecture import Architecture
from nas.space.expand import Decision
from nas.space.space import Space
from nas.testing import toys

SETTINGS = (Decision("recipe.lr", (0.1, 0.2, 0.4)), Decision("recipe.optimizer", ("sgd", "adamw")))
PLAIN = toys.conditional_space()
JOINT = PLAIN.with_settings(SETTINGS, {"recipe.lr": 0.2})


def test_the_size_is_that_of_all_combinations() -> None:
    assert JOINT.size == PLAIN.size * 6
    assert JOINT.decisions == (*PLAIN.decisions, *SETTINGS)
    assert {len(PLAIN.decisions), len(PLAIN.decisions) + 1} <= JOINT.always_open


def test_the_same_network_with_other_settings_is_another_candidate() -> None:
    one = JOINT.sample(random.Random(0))
    around = [each for each in JOINT.neighbours(one) if each.graph == one.graph]
    assert len(around) == 3
    assert len({one.digest, *(each.digest for each in around)}) == 4
    assert {each.network.digest for each in around} == {one.network.digest}
    assert one.network == PLAIN.architecture(one.network.decisions)
    assert one.network.digest == PLAIN.architecture(one.network.decisions).digest
    assert not set(one.network.decisions) & set(one.settings)


def test_settings_are_sampled_crossed_and_mutated_as_any_decision() -> None:
    rng = random.Random(1)
    drawn = Counter(JOINT.sample(rng).settings["recipe.lr"] for _ in range(300))
    assert set(drawn) == {0.1, 0.2, 0.4}
    assert min(drawn.values()) > 60
    one, other = JOINT.sample(rng), JOINT.sample(rng)
    child = JOINT.crossover(one, other, rng)
    assert child.settings["recipe.lr"] in (one.settings["recipe.lr"], other.settings["recipe.lr"])
    assert any(JOINT.mutate(one, rng).settings != one.settings for _ in range(50))
    assert all(made in JOINT and made not in PLAIN for made in (one, other, child))


def test_settings_go_through_json() -> None:
    made = JOINT.sample(random.Random(2))
    back = Architecture.from_json(made.to_json())
    assert (back, back.digest, back.settings) == (made, made.digest, made.settings)
    assert "settings" not in made.network.to_dict()


def test_what_has_no_settings_is_as_before() -> None:
    made = PLAIN.sample(random.Random(3))
    assert made.network is made
    assert made.settings == {}
    assert JOINT.bound(["image"], "named").decisions == JOINT.decisions


def test_the_reference_has_the_usual_settings() -> None:
    space = Space(PLAIN.graph, reference={"kernel": 3}, inputs=["image"]).with_settings(SETTINGS, {"recipe.lr": 0.2})
    assert dict(space.reference.settings) == {"recipe.lr": 0.2, "recipe.optimizer": "sgd"}
    assert space.has_reference
    assert not JOINT.has_reference


@pytest.mark.parametrize("decision", [Decision("kernel", (1, 2)), Decision("recipe.lr", ())])
def test_a_label_that_is_taken_is_refused(decision: Decision) -> None:
    with pytest.raises(SpaceError, match="expected a label of its own and options"):
        PLAIN.with_settings([decision], {})
