from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import ConfigError, TaskError
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.train.task import check_task, open_task, split
from nas_plugins.image_tasks.digits import digits
from nas_plugins.image_tasks.npz import npz

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sets"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return create_manager().registry


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    task = digits()
    train, test = task.train_arrays(), task.test_arrays()
    ours = np.concatenate([train.x[0], test.x[0]]).reshape(-1, 64)
    order, theirs = np.lexsort(ours.T), np.lexsort(x.T)
    assert np.array_equal(ours[order], x[theirs])
    assert np.array_equal(np.concatenate([train.y, test.y])[order], y[theirs])


def test_digits_say_what_they_are() -> None:
    task = digits()
    check_task(task)
    assert task.info.input.shape == (1, 8, 8)
    assert task.info.outputs == 10
    assert task.train_arrays().x[0].dtype == np.uint8
    assert (len(task.train_arrays()), len(task.test_arrays())) == (1438, 359)
    assert "flip" not in task.augment


def test_the_test_part_of_digits_is_never_in_a_searchs_data() -> None:
    task = digits()
    known = {x.tobytes() for x in task.test_arrays().x[0]}
    for seed in (0, 1):
        for part in split(task.train_arrays(), seed, 0.2):
            assert not any(x.tobytes() in known for x in part.x[0])


def test_without_scikit_learns_file_its_loader_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = digits().fingerprint
    monkeypatch.setattr("nas_plugins.image_tasks.digits.find_spec", lambda name: None)
    assert digits().fingerprint == expected


def arrays(n: int = 12, shape: tuple[int, ...] = (6, 5), classes: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for part in ("train", "test"):
        made[f"x_{part}"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        made[f"y_{part}"] = np.arange(n) % classes
    return made


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "mine.npz"
    np.savez(file, **{name: array for name, array in (arrays() | changes).items() if array is not None})
    return file


@pytest.mark.parametrize(
    ("shape", "option", "port"),
    [
        ((6, 5), "", (1, 6, 5)),
        ((3, 6, 5), "", (3, 6, 5)),
        ((6, 5, 3), "", (3, 6, 5)),
        ((1, 6, 5), "", (1, 6, 5)),
        ((6, 5, 1), "", (1, 6, 5)),
        ((3, 6, 4), ":channels=last", (4, 3, 6)),
        ((3, 6, 4), ":channels=first", (3, 6, 4)),
        ((7, 6, 5), ":channels=last", (5, 7, 6)),
    ],
)
def test_the_channel_axis(
    registry: Registry, tmp_path: Path, shape: tuple[int, ...], option: str, port: tuple[int, ...]
) -> None:
    file = write(tmp_path, **arrays(shape=shape))
    task = open_task(registry, f"{file}{option}")
    assert task.info.input.shape == port
    raw = np.load(file)["x_train"]
    x = task.train_arrays().x[0]
    assert x.shape == (12, *port)
    assert x.dtype == np.uint8
    if raw.ndim == 4 and raw.shape[1:] != port:
        assert np.array_equal(x, np.moveaxis(raw, -1, 1))
    else:
        assert np.array_equal(x, raw.reshape(x.shape))


@pytest.mark.parametrize(
    ("given", "held"),
    [("uint8", "uint8"), ("int64", "uint8"), ("bool", "uint8"), ("float64", "float32"), ("float16", "float32")],
)
def test_bytes_stay_bytes_and_floats_become_single(tmp_path: Path, given: str, held: str) -> None:
    made = arrays()
    for name in ("x_train", "x_test"):
        made[name] = (made[name] % 2).astype(given)
    task = npz(path=str(write(tmp_path, **made)))
    assert task.train_arrays().x[0].dtype == task.test_arrays().x[0].dtype == np.dtype(held)
    assert np.array_equal(task.train_arrays().x[0][:, 0], made["x_train"])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64"])
def test_labels_may_be_a_column_of_any_integers(tmp_path: Path, dtype: str) -> None:
    y = (np.arange(12) % 3).astype(dtype)
    task = npz(path=str(write(tmp_path, y_train=y[:, None], y_test=y)))
    assert task.info.outputs == 3
    assert task.train_arrays().y.tolist() == y.tolist()


def test_the_same_data_have_the_same_fingerprint(tmp_path: Path) -> None:
    first = npz(path=str(write(tmp_path))).fingerprint
    np.savez_compressed(tmp_path / "packed.npz", **arrays())
    assert npz(path=str(tmp_path / "packed.npz")).fingerprint == first
    other = arrays()
    other["x_test"][3, 2, 1] += 1
    assert npz(path=str(write(tmp_path, **other))).fingerprint != first


X = arrays()["x_train"]
HOLES = np.where(X.max() == X, np.nan, X)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"x_test": None}, "expected the arrays x_train, y_train, x_test, y_test; missing x_test, got"),
    (
        {"x_train": None, "y_train": None, "x_test": None, "y_test": None, "a": X},
        "no task reads what is in this file; .* npz: images",
    ),
    ({"x_train": X[0]}, r"x_train: expected images \(N, H, W\).* got shape \(6, 5\)"),
    ({"x_train": X[:, None, None]}, r"got shape \(12, 1, 1, 6, 5\)"),
    ({"x_train": np.zeros((12, 7, 6, 5))}, r"to have 1 to 4 channels, got shape \(12, 7, 6, 5\); say which with"),
    ({"x_train": np.zeros((12, 3, 3, 3))}, "say which with FILE.npz:channels=first"),
    ({"x_train": X[:, :0]}, "expected at least one image of at least one pixel"),
    ({"x_test": X[:, :5]}, r"x_test, y_test: expected image \(C=1, H=6, W=5\) each, got arrays of shape \(1, 5, 5\)"),
    ({"y_train": np.arange(11) % 3}, "expected one label an example, got 12 examples and 11 labels"),
    ({"y_test": np.arange(13) % 3}, "x_test, y_test: expected one label an example, got 12 examples and 13 labels"),
    ({"x_train": HOLES}, r"x_train: expected finite numbers, got \d+ NaN"),
    ({"x_test": X + np.float64(np.inf)}, r"x_test: expected finite numbers, got 360 NaN or infinite"),
    ({"x_train": X * 1e300}, "expected numbers in float32's range, got .*e\\+30"),
    ({"x_train": X.astype(np.int64) - 300}, r"x_train: expected uint8 or float images, got int64 from -3\d\d to"),
    ({"x_train": X.astype(complex)}, "expected uint8 or float images, got complex128"),
    ({"x_train": X.astype(str)}, "expected uint8 or float images, got <U"),
    ({"x_train": np.array([None] * 12)}, "plain number arrays, got pickled objects"),
    ({"y_train": np.zeros(12, dtype=int)}, "expected at least 2 classes, got one, label 0"),
    ({"y_train": np.arange(12) % 3 + 1}, r"expected labels 0\.\.2 for its 3 classes, got 1\.\.3; number them"),
    ({"y_train": np.arange(12) % 3 - 1}, r"expected labels 0\.\.2 for its 3 classes, got -1\.\.1"),
    ({"y_train": np.arange(12) % 3 * 10**12}, r"got 0\.\.2000000000000"),
    ({"y_train": np.arange(12) % 3 / 2}, r"expected integer labels of shape \(N,\), got float64"),
    ({"y_train": np.eye(3)[np.arange(12) % 3]}, "one-hot labels become integers"),
    ({"y_train": np.array(["cat", "dog"] * 6)}, "expected integer labels of shape"),
    ({"y_test": np.arange(12) % 4}, r"x_test, y_test: expected labels 0\.\.2, got 0\.\.3"),
    ({"x_test": X[:0], "y_test": np.array([], dtype=int)}, "x_test: expected at least one image"),
]


@pytest.mark.parametrize(("changes", "said"), BAD)
def test_a_bad_file_is_told_what_was_found_and_what_is_expected(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    file = write(tmp_path, **changes)
    with pytest.raises(TaskError, match=said) as caught:
        open_task(registry, str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no numbers here", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_file_that_is_no_npz(registry: Registry, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.npz"
    file.write_bytes(content)
    with pytest.raises(TaskError, match=r"mine\.npz: expected an \.npz"):
        open_task(registry, str(file))


def test_a_file_cut_short(registry: Registry, tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(TaskError, match=r"mine\.npz: expected an \.npz"):
        open_task(registry, str(file))


def test_a_single_array_is_no_npz(registry: Registry, tmp_path: Path) -> None:
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(TaskError, match="got a single array"):
        open_task(registry, str(tmp_path / "mine.npz"))


def test_an_unknown_layout_of_channels(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected auto, first or last, got 'middle'"):
        open_task(registry, f"{write(tmp_path)}:channels=middle")


def test_the_test_arrays_stay_on_disk_until_they_are_asked_for(tmp_path: Path) -> None:
    task = npz(path=str(write(tmp_path, x_test=HOLES)))
    assert len(task.train_arrays()) == 12
    with pytest.raises(TaskError, match="x_test: expected finite numbers"):
        task.test_arrays()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_fashion_mnist(registry: Registry) -> None:
    task = open_task(registry, str(SHARED / "fashion_mnist_12k.npz"))
    assert task.info.input.shape == (1, 28, 28)
    assert task.info.outputs == 10
    assert (len(task.train_arrays()), len(task.test_arrays())) == (10_000, 2_000)
    assert task.train_arrays().x[0].dtype == np.uint8
