"""Architecture and recipe searched together, from the command line's words to the exported winner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.config import SearchConfig
from nas.parts import assemble


@pytest.mark.slow
def test_recipe_and_architecture_are_one_search(tmp_path: Path) -> None:
    run = nas.search(
        "cell_cnn:channels=4,cells=1", "digits", trials=3, epochs=1, runner="local", strategy="random",
        search_recipe={"lr": [0.01, 0.1], "batch_size": []}, recipe={"val_fraction": 0.8, "batch_size": 32},
        out=tmp_path / "run",
    )  # fmt: skip
    assert run.history.space.size == 15_625 * 2 * 3
    for trial in run.trials:
        assert trial.architecture.settings["recipe.lr"] in (0.01, 0.1)
        assert trial.architecture.settings["recipe.batch_size"] in (16, 32, 64)
    exported = json.loads((tmp_path / "run" / "best" / "architecture.json").read_text())
    assert "settings" not in exported
    assert "recipe.lr" not in exported["decisions"]
    assert exported["metadata"]["settings"] == dict(run.architecture.settings)
    again = nas.resume(tmp_path / "run", trials=1)
    assert len(again.trials) == 4
    assert set(again.trials[3].architecture.settings) == {"recipe.lr", "recipe.batch_size"}
    assert nas.load_run(tmp_path / "run").history.space.size == run.history.space.size
    assert run.load() is not None


@pytest.mark.parametrize("space", ["vit", "conv_attention"])
def test_a_space_says_what_training_suits_it_and_the_user_has_the_last_word(space: str) -> None:
    def recipe(**options: Any) -> dict[str, Any]:
        return assemble(SearchConfig.parse({"space": space, "task": "digits", **options})).config.recipe

    assert recipe()["optimizer"] == "adamw"
    assert recipe()["lr"] < 0.01
    assert recipe(recipe={"optimizer": "sgd"})["optimizer"] == "sgd"
    assert assemble(SearchConfig.parse({"task": "digits"})).config.recipe["optimizer"] == "sgd"
