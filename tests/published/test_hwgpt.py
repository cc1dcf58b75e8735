"""HW-GPT-Bench-S (Sukthanker et al., NeurIPS 2024): its decoders are points of `decoder`, with the published sizes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nas.model import blueprint, count_params
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.ports import Port, TaskInfo

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT.parent / "shared" / "data" / "bench" / "hwgpt_s.npz"
TASK = TaskInfo("hwgpt_s", (Port("tokens", (1024,)),), 50_254, "token", vocabulary=50_254)

needs_table = pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/data/bench/hwgpt_s.npz")


@pytest.fixture(scope="module")
def published() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published", ROOT / "benchmarks" / "published.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published"] = module
    spec.loader.exec_module(module)
    return module


def test_size_is_the_papers() -> None:
    space = build_space(create_manager().registry, "decoder", TASK)
    assert space.size == 3 * 2 * sum((3 * 3) ** depth for depth in (10, 11, 12)) == 1_903_784_282_946


@needs_table
def test_a_part_of_the_table_agrees(published: ModuleType) -> None:
    found = published.hwgpt_s(TABLE.parent, step=50)
    assert (found.rows, found.converted, found.equal) == (200, 200, 200)


@needs_table
@pytest.mark.slow
def test_all_of_the_table_agrees(published: ModuleType) -> None:
    found = published.hwgpt_s(TABLE.parent)
    assert (found.rows, found.converted, found.equal) == (10_000, 10_000, 10_000)


@needs_table
def test_modules_have_the_parameters_that_blueprints_count(published: ModuleType) -> None:
    registry = create_manager().registry
    space = build_space(registry, "decoder", TASK)
    with np.load(TABLE, allow_pickle=False) as table:
        rows = {name: table[name][:4000:1000] for name in table.files}
    for decisions, params in zip(published.hwgpt_decisions(rows), rows["params"], strict=True):
        module = blueprint(space.architecture(decisions), TASK, registry).build_meta()
        assert count_params(module) == params


@needs_table
def test_rows_are_different_networks(published: ModuleType) -> None:
    space = build_space(create_manager().registry, "decoder", TASK)
    with np.load(TABLE, allow_pickle=False) as table:
        rows = {name: table[name][::20] for name in table.files}
    given = list(published.hwgpt_decisions(rows))
    digests = {space.architecture(decisions).digest for decisions in given}
    assert len(digests) == len({tuple(sorted(decisions.items())) for decisions in given})


def test_the_formula_of_the_count() -> None:
    """What the table counts, layer by layer: no tied head, biases as decided but never in norms or the head."""
    registry = create_manager().registry
    space = build_space(registry, "decoder", TASK)
    for bias in (True, False):
        decisions = {"embed_dim": 384, "n_layer": 10, "bias": bias}
        decisions |= {f"layer{i}/heads": (4, 8, 12)[i % 3] for i in range(10)}
        decisions |= {f"layer{i}/mlp_ratio": (2, 3, 4)[i // 4] for i in range(10)}
        width, total = 384, 2 * 50_254 * 384 + 2 * 384
        for i in range(10):
            inside, hidden = 64 * decisions[f"layer{i}/heads"], width * decisions[f"layer{i}/mlp_ratio"]
            total += 4 * width * inside + 3 * width * hidden + 4 * width
            total += bias * (3 * inside + width + 2 * hidden + width)
        assert blueprint(space.architecture(decisions), TASK, registry).costs.params == total
