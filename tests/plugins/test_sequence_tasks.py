from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import ConfigError, NasError, TaskError
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.train.task import ArrayTask, Task, open_task
from nas_plugins.sequence_tasks.mel import log_mel, mel_filters

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sets"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return create_manager().registry


def series(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {
        "X": rng.normal(size=(12, 2, 9)).astype(np.float32),
        "y": np.array(["up", "down", "flat"] * 4),
        "is_train": np.arange(12) < 9,
    }
    return made | changes


def spoken(**changes: Any) -> dict[str, Any]:
    """Two speakers say two digits six times each: tones of 500 and 1,500 Hz."""
    n, rate = 24, 8000
    digit, speaker, index = np.arange(n) % 2, np.arange(n) // 12, np.arange(n) // 2 % 6
    sizes = 400 + 50 * np.arange(n)
    tones = [
        8000 * np.sin(2 * np.pi * (500 + 1000 * d) * np.arange(s) / rate) for d, s in zip(digit, sizes, strict=True)
    ]
    made: dict[str, Any] = {
        "audio": np.concatenate(tones).astype(np.int16),
        "offset": np.concatenate([[0], sizes.cumsum()]),
        "digit": digit.astype(np.uint8),
        "speaker": speaker.astype(np.uint8),
        "index": index.astype(np.uint8),
        "rate": np.int64(rate),
    }
    return made | changes


def opened(registry: Registry, folder: Path, arrays: dict[str, Any], options: str = "") -> Task:
    np.savez(folder / "mine.npz", **{name: array for name, array in arrays.items() if array is not None})
    return open_task(registry, f"{folder / 'mine.npz'}{options}")


def test_series_become_sequences_with_classes_in_the_order_of_their_names(registry: Registry, tmp_path: Path) -> None:
    made = series()
    task = opened(registry, tmp_path, made)
    assert task.info.input.kind == "sequence"
    assert task.info.input.shape == (9, 2)
    assert task.info.outputs == 3
    assert task.facts["classes"] == ["down", "flat", "up"]
    train, test = task.train_arrays(), task.test_arrays()
    assert np.array_equal(train.x[0], made["X"][:9].transpose(0, 2, 1))
    assert np.array_equal(test.x[0], made["X"][9:].transpose(0, 2, 1))
    assert train.y.tolist() == [2, 0, 1] * 3


@pytest.mark.parametrize("labels", [[10, 20, 30], [-1, 1, 3]])
def test_labels_with_gaps_are_numbered(registry: Registry, tmp_path: Path, labels: list[int]) -> None:
    task = opened(registry, tmp_path, series(y=np.array(labels * 4)))
    assert task.train_arrays().y.tolist() == [0, 1, 2] * 3
    assert task.facts["classes"] == [str(label) for label in labels]


@pytest.mark.parametrize("told", [True, False])
def test_what_is_shorter_comes_last_after_zeros(registry: Registry, tmp_path: Path, told: bool) -> None:
    x = series()["X"]
    x[3, :, 5:] = np.nan
    length = np.where(np.arange(12) == 3, 5, 9)
    found = opened(registry, tmp_path, series(X=x, length=length if told else None)).train_arrays().x[0]
    assert (found[3, :4] == 0).all()
    assert np.array_equal(found[3, 4:], x[3, :, :5].T)
    assert np.array_equal(found[2], x[2].T)


NAN_INSIDE = series()["X"].copy()
NAN_INSIDE[2, 1, 4] = np.nan


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_train": None}, r"expected the arrays X, y, is_train; missing is_train, got X, y"),
        ({"X": series()["X"][:, 0]}, r"X: expected numbers \(n, channels, T\), got float32 of shape \(12, 9\)"),
        ({"X": NAN_INSIDE}, r"X: expected finite numbers, got 1 NaN or infinite ones \(the first in example 2\)"),
        ({"length": np.full(12, 10)}, "expected a length from 1 to 9 for each of 12 series"),
        ({"y": np.zeros(12)}, "y: expected at least 2 classes, got 0.0"),
        ({"y": np.arange(11) % 2}, r"y: expected one entry for each of 12 series, got shape \(11,\)"),
        ({"is_train": np.ones(12, bool)}, "is_train: expected series of both parts, got 12 of 12"),
        ({"y": np.repeat([0, 1], [9, 3])}, "expected every class to train on, got none of class 1"),
    ],
)
def test_series_that_are_not(registry: Registry, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TaskError, match=said) as caught:
        opened(registry, tmp_path, series(**changes))
    assert "mine.npz" in str(caught.value)


def test_a_file_that_no_task_reads_is_told_what_each_expects(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"one of: .*npz: images .*series: time series .*spoken: spoken"):
        opened(registry, tmp_path, {"nothing": np.zeros(3)})


def test_a_file_that_two_tasks_read_needs_a_name(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"tasks series, spoken read this file; say which with 'series:path="):
        opened(registry, tmp_path, series() | spoken())
    assert open_task(registry, f"series:path={tmp_path / 'mine.npz'}").info.outputs == 3


def test_log_mel_has_frames_of_ten_milliseconds(registry: Registry, tmp_path: Path) -> None:
    task = opened(registry, tmp_path, spoken(), ":seconds=0.1,mels=20")
    assert task.info.input.shape == (7, 20)
    assert task.info.outputs == 2
    x, y = task.train_arrays().x[0], task.train_arrays().y
    low, high = (x[y == digit][:, 0].mean(0).argmax() for digit in (0, 1))
    assert low < high, "the band of the higher tone is higher"


def test_a_waveform_is_cut_and_filled_with_silence(registry: Registry, tmp_path: Path) -> None:
    made = spoken()
    task = opened(registry, tmp_path, made, ":features=waveform,seconds=0.1")
    x = np.concatenate([task.train_arrays().x[0], task.test_arrays().x[0]])
    assert x.shape == (24, 800, 1)
    assert x.dtype == np.int16
    first = made["audio"][:400]
    assert any(np.array_equal(row[400:, 0], first) and not row[:400].any() for row in x)


def test_the_parts_are_the_official_ones_or_of_different_speakers(registry: Registry, tmp_path: Path) -> None:
    official = opened(registry, tmp_path, spoken(), ":seconds=0.1")
    assert (len(official.train_arrays()), len(official.test_arrays())) == (4, 20)
    speaker = opened(registry, tmp_path, spoken(), ":seconds=0.1,split=speaker,features=waveform")
    assert (len(speaker.train_arrays()), len(speaker.test_arrays())) == (12, 12)
    made = spoken()
    other = opened(registry, tmp_path, spoken(audio=made["audio"] // 2), ":seconds=0.1,split=speaker,features=waveform")
    assert np.abs(other.test_arrays().x[0]).max() < np.abs(speaker.test_arrays().x[0]).max()


@pytest.mark.parametrize(
    ("changes", "options", "kind", "said"),
    [
        ({}, ":features=mfcc", ConfigError, "expected features=logmel or waveform .* got features=mfcc"),
        ({}, ":split=random", ConfigError, "got features=logmel and split=random"),
        ({}, ":seconds=0", ConfigError, "option 'seconds' of task 'spoken': expected 0.05 to 60, got 0"),
        ({}, ":mels=200", ConfigError, "expected few enough mel bands .* got 200"),
        ({"rate": None}, "", TaskError, "missing rate"),
        ({"speaker": np.zeros(3)}, "", TaskError, r"speaker: expected shape \(24,\) for 24 digits, got \(3,\)"),
        ({"audio": np.zeros(10, np.int16)}, "", TaskError, "offset: expected rising positions in the 10 samples"),
        ({"audio": spoken()["audio"] / 2**15}, "", TaskError, "audio: expected int16 samples, got float64"),
    ],
)
def test_speech_that_is_not(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], options: str, kind: type[NasError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        opened(registry, tmp_path, spoken(**changes), options)


def test_mel_filters_are_triangles_that_cover_the_spectrum() -> None:
    filters = mel_filters(8000, 256, 40)
    assert filters.shape == (129, 40)
    assert filters.max() <= 1
    assert (filters[1:-1].sum(axis=1) > 0).all()
    centres = filters.argmax(axis=0)
    assert (np.diff(centres) >= 0).all()


def test_log_mel_of_silence_is_the_floor_and_louder_is_more() -> None:
    tone = (1000 * np.sin(np.arange(800))).astype(np.int16)
    silence, soft, loud = log_mel(np.stack([0 * tone, tone, 8 * tone]), 8000, 10)
    assert np.allclose(silence, np.log(1e-6))
    assert (loud >= soft).all()
    assert (loud - soft).max() == pytest.approx(2 * np.log(8), abs=0.01)


@shared
@pytest.mark.parametrize(
    ("name", "shape", "classes", "sizes"),
    [
        ("GunPoint", (150, 1), 2, (50, 150)),
        ("ItalyPowerDemand", (24, 1), 2, (67, 1029)),
        ("ArrowHead", (251, 1), 3, (36, 175)),
        ("BasicMotions", (100, 6), 4, (40, 40)),
    ],
)
def test_published_series(
    registry: Registry, name: str, shape: tuple[int, int], classes: int, sizes: tuple[int, int]
) -> None:
    task = open_task(registry, str(SHARED / f"ts_{name}.npz"))
    assert isinstance(task, ArrayTask)
    assert task.info.input.shape == shape
    assert task.info.outputs == classes
    assert (len(task.train_arrays()), len(task.test_arrays())) == sizes


@shared
def test_published_speech(registry: Registry) -> None:
    task = open_task(registry, str(SHARED / "fsdd_8khz.npz"))
    assert task.info.input.shape == (97, 40)
    assert task.info.outputs == 10
    assert (len(task.train_arrays()), len(task.test_arrays())) == (2700, 300)
