"""Our zero-cost scores order NAS-Bench-201's cells as the published ones do (FreeREA, Cavagnero et al., WACV 2023)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nas.controller.ranks import rank_correlation

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "bench"
TABLE = FOLDER / "nb201_cifar10.npz"

needs_table = pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/data/bench/nb201_cifar10.npz")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proxies_bench", ROOT / "benchmarks" / "proxies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["proxies_bench"] = module
    spec.loader.exec_module(module)
    return module


def correlations(bench: ModuleType, names: list[str], cells: int, *, simplify: bool = False) -> dict[str, float]:
    found = bench.scored(FOLDER, cells, names, bench.make_batch("photos", 0, FOLDER), 0, simplify)
    assert len(found) == cells
    table = bench.published(FOLDER, found)
    return {name: rank_correlation(bench.column(found, name), table[bench.PUBLISHED[name]]) for name in names}


@needs_table
def test_a_few_cells_are_ordered_as_published(bench: ModuleType) -> None:
    found = correlations(bench, ["params", "synflow", "logsynflow"], 12)
    assert found["params"] == pytest.approx(1)
    assert min(found.values()) >= 0.95, found


@needs_table
@pytest.mark.slow
def test_activations_are_counted_as_published(bench: ModuleType) -> None:
    """A second and a half a cell: `python benchmarks/proxies.py --cells 200` compares as many as one has time for."""
    assert correlations(bench, ["naswot"], 16)["naswot"] >= 0.95


@needs_table
@pytest.mark.slow
def test_what_a_search_trains_is_ordered_so_too(bench: ModuleType) -> None:
    found = correlations(bench, ["synflow", "logsynflow", "naswot"], 20, simplify=True)
    assert min(found.values()) >= 0.93, found


def test_patches_of_photos_are_the_same_every_time(bench: ModuleType) -> None:
    one, other = (bench.make_batch("photos", 3, FOLDER, size=4).x[0] for _ in range(2))
    assert one.shape == (4, 3, 32, 32)
    assert one.equal(other)
    assert float(one.std()) == pytest.approx(1, abs=0.01)
