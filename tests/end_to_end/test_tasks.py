"""Whole searches on what is no image: text, sequences, values, several inputs; and one that starts from another."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import nas
from nas.cli.main import main
from nas.errors import ConfigError
from nas.train.task import open_task

pytestmark = pytest.mark.slow

ENCODER = "encoder:width=32,depth=1"
WORDS = ("red", "green", "blue", "small", "large", "round")


def said(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("space", "task", "objective", "metrics"),
    [
        ("recurrent_stack:width=16", "digit_rows", "val_accuracy", {"test_accuracy"}),
        (ENCODER, "toy_text:examples=200", "val_accuracy", {"test_accuracy"}),
        ("decoder:scale=tiny", "toy_language:sentences=60", "val_bpc", {"test_bpc", "test_perplexity"}),
        ("seq2seq:width=16", "toy_reverse:examples=200", "val_loss", {"test_accuracy"}),
    ],
)
def test_each_family_has_data_of_its_own(
    space: str, task: str, objective: str, metrics: set[str], tmp_path: Path
) -> None:
    run = nas.search(space, task, trials=1, epochs=1, runner="local", out=tmp_path / "run")
    assert [found.name for found in run.history.objectives] == [objective]
    assert [trial.state for trial in run.trials] == ["complete"]
    assert metrics <= set(run.results)
    assert nas.load_run(tmp_path / "run").trials == run.trials
    written = json.loads((tmp_path / "run" / "best" / "architecture.json").read_text())["task"]
    assert written.get("vocabulary", 0) == open_task(nas.create_manager().registry, task).info.vocabulary
    shown = said("show", str(tmp_path / "run"))
    assert all(name.replace("_", " ") in shown for name in metrics)
    assert "val loss" in said("show", str(tmp_path / "run"), "--trial", "0")


def test_a_regression_from_text_gives_values_when_it_is_exported(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 8, 200)
    rows = [f"{i}\t{1000 + c / 2}\t{'good ' * c}{'bad ' * (8 - c)}" for i, c in enumerate(counts)]
    (tmp_path / "values.tsv").write_text("\n".join(rows))
    run = nas.search(
        "recurrent_stack:width=16",
        str(tmp_path / "values.tsv"),
        trials=1,
        epochs=15,
        recipe={"lr": 0.02},
        runner="local",
        out=tmp_path / "run",
    )
    assert run.results["test_r2"] > 0.8
    model = runpy.run_path(str(tmp_path / "run" / "best" / "model.py"))["load"]()
    tokens = run.results["facts"]["tokens"]
    with torch.no_grad():
        low, high = model(torch.tensor([[tokens.index("bad")] * 8, [tokens.index("good")] * 8])).flatten().tolist()
    assert 998 < low < high < 1006


def test_towers_for_an_image_and_a_text(tmp_path: Path) -> None:
    rng, made = np.random.default_rng(0), dict[str, np.ndarray]()
    for part, n in (("train", 60), ("test", 20)):
        made[f"x_{part}_picture"] = rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
        made[f"x_{part}_words"] = rng.integers(1, 20, (n, 6))
        made[f"y_{part}"] = np.arange(n) % 2
    made["x_train_words"][0, 0] = 19
    np.savez(tmp_path / "two.npz", **made)  # type: ignore[arg-type]
    task = str(tmp_path / "two.npz")
    run = nas.search("two_tower:width=16", task, trials=1, epochs=1, runner="local", out=tmp_path / "run")
    assert [trial.state for trial in run.trials] == ["complete"]
    assert (tmp_path / "run" / "best" / "model.py").is_file()


def test_hidden_words_are_a_start_for_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = " ".join(rng.choice(WORDS) for _ in range(3000))
    (tmp_path / "story.txt").write_text(text)
    lines = [" ".join(rng.choice(WORDS, 8)) for _ in range(80)]
    (tmp_path / "lines.tsv").write_text(
        "\n".join(f"{i}\t{'ny'['red' in line]}\t{line}" for i, line in enumerate(lines))
    )
    start, table = tmp_path / "first", str(tmp_path / "lines.tsv")
    options = {"trials": 1, "epochs": 1, "runner": "local"}
    nas.search(ENCODER, f"masked:path={tmp_path / 'story.txt'},length=8", out=start, **options)
    fine = {**options, "recipe": {"init": str(start)}}
    with pytest.raises(ConfigError, match="vocabulary_from="):
        nas.search(ENCODER, table, out=tmp_path / "wrong", **fine)
    assert not (tmp_path / "wrong").exists()
    run = nas.search(ENCODER, f"{table}:vocabulary_from={start}", out=tmp_path / "fine", **fine)
    assert run.best is not None
    assert run.best.metrics["inherited"] > 0.9 * run.best.metrics["params"] - 1000
    assert run.best.metrics["inherited"] < run.best.metrics["params"]


def test_the_stored_recipe_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"trials": 1, "epochs": 1, "runner": "local", "out": tmp_path / "run"}
    run = nas.search("recurrent_stack:width=16", "digit_rows", **options)
    assert run.config.recipe["optimizer"] == "adamw"
    monkeypatch.setattr("nas.train.recipe.RATES", {"sgd": (9.0, 9.0), "adamw": (9.0, 9.0)})
    assert nas.resume(tmp_path / "run").config.recipe == run.config.recipe


def test_wrong_augmentation_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'augment': flip need images, task 'digit_rows' has sequence"):
        nas.search("recurrent_stack", "digit_rows", recipe={"augment": "flip"}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
