"""Networks that were exported before, as a beginning for others: their folder and their tokens. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.errors import ConfigError
from nas.train.recipe import Recipe
from nas.train.task import Task

WEIGHTS = "weights.safetensors"


def exported_folder(place: str | Path) -> Path:
    """The folder of an exported network: `place` itself, or ``best`` of the run in it; raises ConfigError."""
    for folder in (Path(place), Path(place) / "best"):
        if (folder / WEIGHTS).is_file():
            return folder
    raise ConfigError(f"expected the folder of a run or of an exported network, found no {WEIGHTS} in {place}")


def exported_facts(place: str | Path) -> dict[str, Any]:
    """What the task of an exported network said of its data: ``tokens``, ``classes``."""
    file = exported_folder(place) / "architecture.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["metadata"].get("facts", {})
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"expected {file} to tell what the network was trained on, cannot read it: {error}") from None
    return found


def check_start(recipe: Recipe, task: Task) -> None:
    """Raises ConfigError when the weights to start from are not there, or tokens mean something else to them."""
    if not recipe.init:
        return
    theirs, ours = exported_facts(recipe.init), task.facts
    if _tokens(theirs) != _tokens(ours):
        raise ConfigError(
            f"training option 'init': the tokens of {recipe.init} are not those of task {task.info.name!r}; "
            f"give the task the option vocabulary_from={recipe.init}"
        )


def _tokens(facts: Mapping[str, Any]) -> list[str]:
    return list(facts.get("tokens", ()))
