from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import ConfigError, NasError, TaskError, UnknownNameError
from nas.plugin.registry import Registrar, Registry
from nas.space.ports import Port, TaskInfo
from nas.train.resolve import absolute_task
from nas.train.task import (
    Arrays,
    ArrayTask,
    check_arrays,
    check_task,
    fingerprint,
    open_task,
    split,
    statistics,
)

VECTOR = TaskInfo("points", (Port("vector", (2,)),), 3)


def numbered(labels: list[int]) -> Arrays:
    """Examples that are their own numbers."""
    return Arrays((np.arange(len(labels)),), np.array(labels))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 2**32), st.floats(0.01, 0.99))
def test_split_has_everything_once_and_keeps_a_class_to_train_on(labels: list[int], seed: int, part: float) -> None:
    arrays = numbered(labels)
    if len(set(labels)) == len(labels):
        with pytest.raises(TaskError, match="at least two examples"):
            split(arrays, seed, part)
        return
    train, held = split(arrays, seed, part)
    assert sorted([*train.x[0], *held.x[0]]) == list(range(len(labels)))
    assert set(train.y) == set(labels)
    assert len(held) >= 1
    spare = len(labels) - len(set(labels))
    assert len(held) == min(max(round(len(labels) * part), 1), spare)


@given(st.lists(st.integers(20, 60), min_size=2, max_size=5), st.integers(0, 1000))
def test_split_keeps_proportions(sizes: list[int], seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    _, held = split(numbered(labels), seed, 0.25)
    assert all(abs(int((held.y == label).sum()) - size / 4) <= 1 for label, size in enumerate(sizes))


def test_split_follows_the_seed() -> None:
    arrays = numbered([0, 1] * 50)
    first, again, other = (split(arrays, seed, 0.2)[1].x[0].tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_split_of_values_needs_no_classes() -> None:
    train, held = split(Arrays((np.arange(10),), np.linspace(0, 1, 10, dtype=np.float32)), 0, 0.3)
    assert (len(train), len(held)) == (7, 3)


def test_statistics_are_those_of_each_channel() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 3, 5, 4)).astype(np.uint8)
    x[:, 2] = 7
    for images in (x, x.astype(np.float32)):
        mean, std = statistics(images, Port("image", (3, 5, 4)))
        assert np.allclose(mean, x.mean(axis=(0, 2, 3)))
        assert np.allclose(std, [*x[:, :2].std(axis=(0, 2, 3)), 1.0])


def test_statistics_of_vectors_and_sequences_are_those_of_each_feature() -> None:
    x = np.random.default_rng(0).normal(2, 3, (50, 4, 6)).astype(np.float32)
    assert np.allclose(statistics(x, Port("sequence", (4, 6))).mean, x.mean(axis=(0, 1)), atol=1e-6)
    assert np.allclose(statistics(x[:, 0], Port("vector", (6,))).std, x[:, 0].std(axis=0), atol=1e-6)


def test_fingerprint_sees_values_types_and_shapes() -> None:
    def of(x: np.ndarray) -> str:
        return fingerprint(Arrays((x,), np.array([0, 1])))

    x = np.zeros((2, 4), dtype=np.uint8)
    changed = x.copy()
    changed[1, 2] = 1
    assert of(x) == of(x.copy()) == of(np.asfortranarray(x))
    assert len({of(x), of(changed), of(x.astype(np.int8)), of(x.reshape(2, 2, 2))}) == 4


def test_tokens_are_not_normalised() -> None:
    tokens = Arrays((np.zeros((4, 3), dtype=np.int64),), np.array([0, 1, 0, 1]))
    task = ArrayTask(TaskInfo("words", (Port("tokens", (3,)),), 2), tokens, lambda: tokens)
    assert task.normalize(tokens) == (None,)


GOOD = np.zeros((4, 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros((4, 3)), [0, 1, 2, 0], r"here: expected vector \(D=2\) each, got arrays of shape \(3,\)"),
        (GOOD, [0, 1], "expected one label an example, got 4 examples and 2 labels"),
        (GOOD, [0, 1, 2, 3], r"expected labels 0\.\.2, got 0\.\.3"),
        (GOOD, [0, 1, -1, 2], r"expected labels 0\.\.2, got -1\.\.2"),
        (GOOD, [0.0, 1.0, 2.0, 0.5], r"expected integer labels of shape \(N,\), got float64"),
        (GOOD[:0], np.array([], dtype=np.int64), "expected at least one example, got none"),
        (np.where([False, True], np.nan, GOOD), [0, 1, 2, 0], r"got 4 NaN or infinite ones \(the first in example 0\)"),
        (
            np.where(np.arange(4)[:, None] == 2, np.inf, GOOD),
            [0, 1, 2, 0],
            r"got 2 NaN or infinite ones \(the first in example 2\)",
        ),
    ],
)
def test_arrays_that_are_not_what_the_task_says(x: np.ndarray, y: object, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        check_arrays(Arrays((x,), np.asarray(y)), VECTOR, "here")


def test_a_task_is_checked_in_both_parts(array_task: ArrayTask) -> None:
    check_task(array_task)
    bad = ArrayTask(array_task.info, array_task.train, lambda: Arrays((np.zeros((2, 1, 6, 6)),), np.array([0, 1])))
    with pytest.raises(TaskError, match="test part: expected image"):
        check_task(bad)


def points(*, examples: int = 6) -> ArrayTask:
    """Points."""
    arrays = Arrays((np.zeros((examples, 2), dtype=np.float32),), np.arange(examples) % 3)
    return ArrayTask(VECTOR, arrays, lambda: arrays)


def table(*, path: str, target: str = "y") -> ArrayTask:
    """Points in a file."""
    assert Path(path).read_text() == "data"
    return points()


@pytest.fixture
def tasks() -> Registry:
    registrar = Registrar("test")
    registrar.task("points", points)
    registrar.task("table", table, suffixes=(".tsv", ".tsv.gz"))
    registry = Registry()
    registry.add(registrar.entries)
    return registry


def test_a_task_by_name_and_options(tasks: Registry) -> None:
    assert len(open_task(tasks, "points").train_arrays()) == 6
    assert len(open_task(tasks, "points:examples=9").train_arrays()) == 9


@pytest.mark.parametrize("name", ["d.tsv", "D.TSV.gz", "folder.x/d.tsv", "d.tsv:target=z", "table:path=d.tsv"])
def test_a_task_by_file(tasks: Registry, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("d.tsv", "D.TSV.gz", "folder.x/d.tsv"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("data")
    assert open_task(tasks, name).info == VECTOR


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("point", UnknownNameError, "unknown task 'point'; did you mean 'points'"),
        ("points:example=3", UnknownNameError, "unknown option of task 'points' 'example'; did you mean 'examples'"),
        ("gone.tsv", TaskError, "task file gone.tsv does not exist"),
        (
            "data.csv",
            TaskError,
            "no task reads files like data.csv; known suffixes: .tsv, .tsv.gz; known tasks:",
        ),
        ("some/where", TaskError, "no task reads files like some/where; known suffixes"),
        ("table", ConfigError, "task 'table' needs option 'path'; .* or a file ending in .tsv or .tsv.gz"),
        ("points:examples", ConfigError, "task 'points': expected examples to be a number such as 6, got 'examples'"),
        ("points:examples=9,more", ConfigError, "expected 'name:key=value,key=value'"),
    ],
)
def test_a_task_that_cannot_be_opened(tasks: Registry, text: str, kind: type[NasError], said: str) -> None:
    with pytest.raises(kind, match=said):
        open_task(tasks, text)


def test_opening_reads_the_test_part_only_when_it_is_to_be_checked() -> None:
    def unreadable(*, good: bool = False) -> ArrayTask:
        def test() -> Arrays:
            raise TaskError("the test part is broken")

        return ArrayTask(VECTOR, points().train, test)

    registrar = Registrar("test")
    registrar.task("unreadable", unreadable)
    registry = Registry()
    registry.add(registrar.entries)
    assert open_task(registry, "unreadable", check=False).info == VECTOR
    with pytest.raises(TaskError, match="the test part is broken"):
        open_task(registry, "unreadable")


def test_a_target_that_cannot_be_trained_is_refused_at_once() -> None:
    def maps() -> ArrayTask:
        info = TaskInfo("maps", VECTOR.inputs, 1, target="graph")  # type: ignore[arg-type]
        return ArrayTask(info, points().train, lambda: points().train)

    registrar = Registrar("test")
    registrar.task("maps", maps)
    registry = Registry()
    registry.add(registrar.entries)
    with pytest.raises(TaskError, match=r"task 'maps': expected a target that can be trained.* got 'graph'"):
        open_task(registry, "maps")


def test_a_file_becomes_absolute_and_a_name_stays(
    tasks: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.tsv").write_text("data")
    Path("points").write_text("a file called as a task is")
    assert absolute_task(tasks, "d.tsv:target=z") == f"{tmp_path.resolve()}/d.tsv:target=z"
    assert absolute_task(tasks, "points:examples=4") == "points:examples=4"


def test_options_that_name_files_become_absolute(
    tasks: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path.resolve()
    Path("d.tsv").write_text("data")
    Path("run").mkdir()
    assert absolute_task(tasks, "table:path=d.tsv,target=run") == f"table:path={here}/d.tsv,target=run"
    assert absolute_task(tasks, "d.tsv:words_from=run") == f"{here}/d.tsv:words_from={here}/run"
    assert absolute_task(tasks, "table:path=gone.tsv") == "table:path=gone.tsv"


def numbers(*, path: str) -> ArrayTask:
    """Files that begin with a digit."""
    return points(examples=9)


def begins_with_digit(path: Path) -> bool:
    return path.read_text()[:1].isdigit()


def test_a_task_that_tells_its_files_goes_before_one_that_does_not(tasks: Registry, tmp_path: Path) -> None:
    registrar = Registrar("other")
    registrar.task("numbers", numbers, suffixes=(".tsv",), claims=begins_with_digit)
    tasks.add(registrar.entries)
    for content, examples in (("12", 9), ("data", 6)):
        (tmp_path / "d.tsv").write_text(content)
        assert len(open_task(tasks, str(tmp_path / "d.tsv")).train_arrays()) == examples


WORDS = TaskInfo("words", (Port("tokens", (3,)),), 5, "token", vocabulary=7)
GOOD_WORDS = np.zeros((2, 3), dtype=np.int64)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (GOOD_WORDS.astype(np.int32), GOOD_WORDS, "here: expected tokens as int64, got int32"),
        (GOOD_WORDS + 7, GOOD_WORDS, r"expected tokens 0\.\.6, got 7\.\.7"),
        (GOOD_WORDS, GOOD_WORDS + 5, r"expected tokens 0\.\.4, got 5\.\.5"),
        (GOOD_WORDS, GOOD_WORDS[:, :2], r"expected int64 tokens \(N, 3\), got int64 of shape \(2, 2\)"),
        (GOOD_WORDS, np.array([[0, 1, 2], [-100] * 3]), "expected a token to tell in every example, got none in 1"),
        (GOOD_WORDS, np.array([[0, 1, 2], [-1, 0, 0]]), r"expected tokens 0\.\.4, got -1\.\.2"),
    ],
)
def test_tokens_that_are_not_what_the_task_says(x: np.ndarray, y: np.ndarray, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        check_arrays(Arrays((x,), y), WORDS, "here")


def test_padding_stands_after_a_text() -> None:
    info = TaskInfo("words", (Port("tokens", (3,)),), 2, vocabulary=7, padding=0)
    y = np.array([0, 1])
    check_arrays(Arrays((np.array([[3, 4, 0], [0, 0, 0]]),), y), info, "here")
    said = "here: expected padding, token 0, only after a text, got it before the end of example 1"
    with pytest.raises(TaskError, match=said):
        check_arrays(Arrays((np.array([[3, 4, 0], [3, 0, 2]]),), y), info, "here")


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(4), r"here: expected float32 values \(N, 2\), got float64 of shape \(4,\)"),
        (np.zeros(4, dtype=np.float32), r"got float32 of shape \(4,\)"),
        (np.full((4, 2), np.inf, dtype=np.float32), "here, values: expected finite numbers, got 8"),
    ],
)
def test_values_that_are_not_what_the_task_says(y: np.ndarray, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        check_arrays(Arrays((GOOD,), y), TaskInfo("values", VECTOR.inputs, 2, "value"), "here")
