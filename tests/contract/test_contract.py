"""Every check of the conformance kit over everything that the installed plugins register."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.testing import Case, Check, cases, checks, parametrize_with_checks


@parametrize_with_checks()
def test_registered(check: Check, case: Case) -> None:
    check(case)


@pytest.mark.parametrize("spec", ["cell_cnn:channels=8,cells=2", "macro_cnn:stages=2,depth=4,channels=8"])
@pytest.mark.parametrize("check", checks("space"), ids=lambda check: check.__name__)
def test_space_with_options(check: Check, spec: str) -> None:
    check(Case("space", spec))


@pytest.mark.parametrize(
    "spec",
    [
        "evolution:population=6,sample=2",
        "evolution:population=200",
        "evolution:sample=3",
        "local_search:first=true",
        "optuna:nsgaii,population_size=5",
        "optuna:bruteforce",
        "optuna:qmc",
    ],
)
@pytest.mark.parametrize("check", checks("strategy"), ids=lambda check: check.__name__)
def test_strategy_with_options(check: Check, spec: str) -> None:
    check(Case("strategy", spec))


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("npz") / "some.npz"
    images = rng.integers(0, 255, (60, 9, 9), dtype=np.uint8)
    labels = np.arange(60) % 3
    np.savez(path, x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    return path


@pytest.mark.parametrize("check", checks("task"), ids=lambda check: check.__name__)
def test_task_of_a_file(check: Check, npz: Path) -> None:
    check(Case("task", f"npz:path={npz}"))


def test_something_is_registered_of_every_tested_kind() -> None:
    kinds = {case.kind for case in cases()}
    assert kinds >= {"block", "space", "task", "strategy", "objective", "proxy", "exporter"}
