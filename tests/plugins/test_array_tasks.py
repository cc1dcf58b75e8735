from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas
from nas.errors import ConfigError, NasError, TaskError
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.train.task import Task, open_task


@pytest.fixture(scope="module")
def registry() -> Registry:
    return create_manager().registry


def arrays(**changes: Any) -> dict[str, Any]:
    rng, made = np.random.default_rng(0), dict[str, Any]()
    for part, n in (("train", 20), ("test", 8)):
        made[f"x_{part}_picture"] = rng.integers(0, 256, (n, 3, 6, 5), dtype=np.uint8)
        made[f"x_{part}_words"] = np.minimum(rng.integers(1, 30, (n, 7)), 20 + 10 * (part == "train"))
        made[f"x_{part}_sound"] = rng.normal(size=(n, 9, 2))
        made[f"x_{part}_facts"] = rng.normal(size=(n, 4))
        made[f"y_{part}"] = np.arange(n) % 3
    made["x_train_words"][0, 0] = 29
    return made | changes


def opened(registry: Registry, folder: Path, made: dict[str, Any], options: str = "") -> Task:
    np.savez(folder / "mine.npz", **{name: array for name, array in made.items() if array is not None})
    return open_task(registry, f"{folder / 'mine.npz'}{options}")


def test_every_array_is_an_input_of_its_kind(registry: Registry, tmp_path: Path) -> None:
    made = arrays()
    task = opened(registry, tmp_path, made)
    said = [str(port) for port in task.info.inputs]
    assert said == ["image (C=3, H=6, W=5)", "tokens (L=7)", "sequence (L=9, D=2)", "vector (D=4)"]
    assert (task.info.outputs, task.info.target, task.info.vocabulary) == (3, "class", 30)
    assert [x.dtype for x in task.train_arrays().x] == ["uint8", "int64", "float32", "float32"]
    assert np.array_equal(task.test_arrays().x[1], made["x_test_words"])


def test_padding_is_said_of_tokens_that_have_some(registry: Registry, tmp_path: Path) -> None:
    assert opened(registry, tmp_path, arrays()).info.padding is None
    words = np.where(np.arange(7) < np.arange(20)[:, None], 3, 0)
    made = arrays(x_train_words=words, x_test_words=words[:8])
    assert opened(registry, tmp_path, made, ":padding=0").info.padding == 0
    with pytest.raises(TaskError, match=r"training part: expected padding, token 3, only after a text"):
        opened(registry, tmp_path, made, ":padding=3")


def test_every_input_but_tokens_is_normalised(registry: Registry, tmp_path: Path) -> None:
    task = opened(registry, tmp_path, arrays())
    picture, words, sound, facts = task.normalize(task.train_arrays())
    assert words is None
    assert [len(numbers.mean) for numbers in (picture, sound, facts) if numbers] == [3, 2, 4]


@pytest.mark.parametrize(("shape", "outputs"), [((), 1), ((2,), 2)])
def test_floats_are_values(registry: Registry, tmp_path: Path, shape: tuple[int, ...], outputs: int) -> None:
    rng = np.random.default_rng(1)
    task = opened(
        registry, tmp_path, arrays(y_train=rng.normal(size=(20, *shape)), y_test=rng.normal(size=(8, *shape)))
    )
    assert (task.info.target, task.info.outputs) == ("value", outputs)
    assert task.train_arrays().y.dtype == np.float32


def test_kinds_may_be_said(registry: Registry, tmp_path: Path) -> None:
    task = opened(registry, tmp_path, arrays(), ":kinds=image/vector/sequence/vector")
    assert [port.kind for port in task.info.inputs] == ["image", "vector", "sequence", "vector"]
    assert task.info.vocabulary == 0


@pytest.mark.parametrize(
    ("changes", "options", "kind", "said"),
    [
        ({"x_test_sound": None}, "", TaskError, "missing x_test_sound, got"),
        ({"y_train": None}, "", TaskError, "missing y_train, got"),
        ({"x_test_sound": np.zeros((7, 9, 2))}, "", TaskError, "expected one label an example, got 7 examples and 8"),
        ({"x_test_sound": np.zeros((8, 8, 2))}, "", TaskError, r"test part: expected sequence \(L=9, D=2\) each"),
        ({"x_test_words": np.full((8, 7), 30)}, "", TaskError, r"test part: expected tokens 0\.\.29, got 30\.\.30"),
        ({"x_train_words": np.full((20, 7), -1)}, "", TaskError, r"expected tokens 0\.\.0, got -1\.\.-1"),
        ({"x_train_facts": np.full((20, 4), np.nan)}, "", TaskError, "expected finite numbers, got 80 NaN"),
        ({"x_train_facts": np.zeros(20)}, "", TaskError, r"x_train_facts: expected a vector .* got float32 of shape"),
        ({"x_train_facts": np.array([["a"]] * 20)}, "", TaskError, "x_train_facts: expected numbers, got <U1"),
        ({"y_train": np.zeros(20, int)}, "", TaskError, r"expected classes 0\.\.K-1, at least 2, got 1, 0\.\.0"),
        ({"y_train": np.array(["a"] * 20)}, "", TaskError, "y_train: expected integer classes"),
        ({}, ":kinds=image", ConfigError, "expected 4 kinds for .* got 'image'"),
        ({}, ":kinds=image/words/sequence/vector", TaskError, "x_train_words: expected .* as words"),
    ],
)
def test_a_file_that_does_not_fit(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], options: str, kind: type[NasError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        opened(registry, tmp_path, arrays(**changes), options)
    assert kind is ConfigError or "mine.npz" in str(caught.value) or "part" in str(caught.value)


def test_diabetes_is_scikit_learns(registry: Registry) -> None:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    task = open_task(registry, "diabetes")
    train, test = task.train_arrays(), task.test_arrays()
    assert (len(train), len(test)) == (354, 88)
    ours = np.column_stack([np.concatenate([train.x[0], test.x[0]]), np.concatenate([train.y, test.y])])
    theirs = np.column_stack([x, y]).astype(np.float32)
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert np.array_equal(open_task(registry, "diabetes").test_arrays().x[0], test.x[0])


def test_diabetes_can_be_told_from_what_was_measured(registry: Registry, tmp_path: Path) -> None:
    run = nas.search("mlp", "diabetes", trials=1, epochs=30, runner="local", recipe={"lr": 0.01}, out=tmp_path / "run")
    assert [objective.name for objective in run.history.objectives] == ["val_r2"]
    assert run.results["test_r2"] > 0.3
