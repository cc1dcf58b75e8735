from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from nas.errors import ConfigError, UnknownNameError
from nas.space.ports import Port, TaskInfo
from nas.train.recipe import Recipe


def test_the_optimizer_brings_its_own_defaults_and_the_user_has_the_last_word() -> None:
    sgd, adamw = Recipe.parse({}), Recipe.parse({"optimizer": "adamw"})
    assert sgd.lr > 10 * adamw.lr
    assert sgd.weight_decay < adamw.weight_decay
    assert Recipe.parse({"optimizer": "adamw", "lr": 0.5}).lr == 0.5


def test_warm_up_is_a_tenth_of_the_epochs() -> None:
    assert Recipe.parse({"epochs": 1}).warmup_epochs == pytest.approx(0.1)
    assert Recipe.parse({"epochs": 50}).warmup_epochs == pytest.approx(5)
    assert Recipe.parse({}).warmup_epochs == pytest.approx(Recipe.parse({}).epochs / 10)


def test_it_is_frozen_and_survives_json() -> None:
    recipe = Recipe.parse({"optimizer": "adamw", "augment": ["crop", "flip"]})
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe
    with pytest.raises(ValidationError):
        recipe.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize("given", [["crop", "flip"], ("crop", "flip"), "crop,flip", "crop, flip"])
def test_augmentations_come_as_a_list_or_as_words(given: object) -> None:
    assert Recipe.parse({"augment": given}).augment == ("crop", "flip")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "training option 'epochs': expected greater than or equal to 1, got 0"),
        ({"epochs": "many"}, "training option 'epochs': expected a valid integer, .* got 'many'"),
        ({"lr": -1}, "training option 'lr': expected greater than 0, got -1"),
        ({"lr": float("nan")}, "training option 'lr': expected a finite number, got nan"),
        ({"optimizer": "adam"}, "training option 'optimizer': expected 'sgd' or 'adamw', got 'adam'"),
        ({"val_fraction": 1}, "training option 'val_fraction': expected less than 1, got 1"),
        ({"warmup_epochs": 5, "epochs": 5}, "expected warmup_epochs less than epochs, got 5 of 5"),
        ({"augment": ["flop"]}, "training option 'augment': unknown augmentation 'flop'; did you mean 'flip'"),
        ({"augment": 3}, "training option 'augment': expected .* got 3"),
        ({"amp": "on"}, "training option 'amp': expected 'auto' or 'off', got 'on'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Recipe.parse(options)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown training option 'epoch'; did you mean 'epochs'"):
        Recipe.parse({"epoch": 3})


def test_recipe_and_task_load_no_torch() -> None:
    code = (
        "import sys, nas.train.recipe, nas.train.task; "
        "print(sorted({'torch', 'ray', 'sklearn', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


CLASSES = TaskInfo("few", (Port("vector", (3,)),), 2)
VALUES = TaskInfo("few", (Port("vector", (3,)),), 1, target="value")


@pytest.mark.parametrize(
    ("task", "examples", "options", "batch_size", "epochs"),
    [
        (CLASSES, 1437, {}, 64, 24),  # scikit-learn's digits
        (CLASSES, 800, {}, 64, 40),  # 10 steps an epoch
        (CLASSES, 40, {}, 8, 100),
        (CLASSES, 2, {}, 8, 400),
        (CLASSES, 40, {"epochs": 3}, 8, 3),
        (CLASSES, 40, {"batch_size": 16}, 16, 200),
        (CLASSES, 40, {"val_fraction": 0.5}, 8, 134),
        (CLASSES, 40, {"batch_size": 64, "epochs": 1}, 64, 1),
        (VALUES, 353, {}, 56, 24),  # scikit-learn's diabetes, which more steps make worse
        (VALUES, 40, {}, 8, 24),
    ],
)
def test_of_few_examples_there_are_smaller_batches_and_more_epochs(
    task: TaskInfo, examples: int, options: dict[str, Any], batch_size: int, epochs: int
) -> None:
    recipe = Recipe.parse(options, task, examples)
    assert (recipe.batch_size, recipe.epochs) == (batch_size, epochs)
    assert recipe.warmup_epochs == pytest.approx(epochs / 10)
