"""Options of the recipe that are searched for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nas
from nas.errors import ConfigError
from nas.train.recipe import RATES, SEARCHED, Recipe

BASE = Recipe.parse({"lr": 0.2, "batch_size": 32, "epochs": 4})


def test_the_usual_values_are_multiples_of_the_recipes_own() -> None:
    found = BASE.search({"lr": (), "batch_size": (), "augment": ()})
    assert found == {"lr": (0.05, 0.1, 0.2, 0.4, 0.8), "batch_size": (16, 32, 64), "augment": ("none", "auto")}
    every = BASE.search({name: () for name in SEARCHED if name != "optimizer"})
    assert all(len(values) > 1 for values in every.values())


def test_values_that_are_given_are_taken() -> None:
    assert BASE.search({"lr": [0.1, 1, 0.1]}) == {"lr": (0.1, 1.0)}
    assert [type(value) for value in BASE.search({"lr": [1]})["lr"]] == [float]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"epochs": ()}, "unknown training option to search for 'epochs'"),
        ({"learning_rate": ()}, "unknown training option to search for 'learning_rate'; known: augment, batch_size"),
        ({"lr": [0.1, -1.0]}, "training option 'lr': expected greater than 0, got -1.0"),
        ({"lr": [[0.1]]}, "training option 'lr': expected numbers or words to try, got"),
        ({"augment": ["blur"]}, "unknown augmentation 'blur'"),
        ({"optimizer": (), "lr": ()}, "expected values of lr to try, since optimizer is searched for, too"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(wanted: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BASE.search(wanted)
    assert expected in str(caught.value)


def test_a_candidates_recipe_is_the_base_with_its_settings() -> None:
    made = BASE.set_by({"recipe.lr": 0.4, "recipe.augment": "crop,flip", "other": 3})
    assert (made.lr, made.augment, made.batch_size, made.epochs) == (0.4, ("crop", "flip"), 32, 4)
    assert BASE.set_by({}) == BASE


def test_another_optimizer_brings_its_own_rate() -> None:
    made = BASE.set_by({"recipe.optimizer": "adamw"})
    assert (made.lr, made.weight_decay) == RATES["adamw"]
    assert BASE.set_by({"recipe.optimizer": "adamw", "recipe.lr": 0.01}).lr == 0.01
    assert BASE.set_by({"recipe.optimizer": "sgd"}).lr == 0.2


def test_an_augmentation_for_images_is_refused_for_other_tasks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'augment': crop need images, task 'toy_text' has"):
        nas.search("encoder", "toy_text", search_recipe={"augment": ["none", "crop"]}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
