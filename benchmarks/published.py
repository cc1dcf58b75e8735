"""Published architectures against ours: how many are points of our space, and how many have the published size.

    python benchmarks/published.py [FOLDER]

FOLDER holds the published tables, by default ``../shared/data/bench`` beside the repository; what is not there is left
out. Each function of `TABLES` converts every row of one table, compiles it on the meta device and compares.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from nas.model import blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.graph import Scalar
from nas.space.ports import Port, TaskInfo

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"


@dataclass(frozen=True)
class Agreement:
    """What came of one table: rows, those that are points of the space, those of equal size, and a remark."""

    rows: int
    converted: int
    equal: int
    remark: str


def hwgpt_s(folder: Path, step: int = 1) -> Agreement:
    """HW-GPT-Bench-S (Sukthanker et al., NeurIPS 2024): 10,000 decoders of the space `decoder`; every `step`-th row."""
    registry = create_manager().registry
    task = TaskInfo("hwgpt_s", (Port("tokens", (1024,)),), 50_254, "token", vocabulary=50_254)
    space = build_space(registry, "decoder", task)
    with np.load(folder / "hwgpt_s.npz", allow_pickle=False) as table:
        rows = {name: table[name][::step] for name in ("embed_dim", "n_layer", "bias", "n_head", "mlp_ratio", "params")}
    converted = equal = 0
    for decisions, params in zip(hwgpt_decisions(rows), rows["params"], strict=True):
        architecture = space.architecture(decisions)
        converted += architecture in space
        equal += blueprint(architecture, task, registry).costs.params == params
    return Agreement(len(rows["params"]), converted, equal, "untied, vocabulary 50,254, gated MLP of three matrices")


def hwgpt_decisions(rows: Mapping[str, Any]) -> Iterator[dict[str, Scalar]]:
    """The rows of the table as decisions of the space `decoder`."""
    for number, depth in enumerate(rows["n_layer"].tolist()):
        decisions: dict[str, Scalar] = {"n_layer": depth}
        decisions |= {name: rows[name][number].item() for name in ("embed_dim", "bias")}
        for name, column in (("heads", "n_head"), ("mlp_ratio", "mlp_ratio")):
            values = rows[column][number].tolist()
            decisions |= {f"layer{i}/{name}": value for i, value in enumerate(values[:depth])}
        yield decisions


TABLES: dict[str, tuple[str, Callable[[Path], Agreement]]] = {
    "HW-GPT-Bench-S": ("hwgpt_s.npz", hwgpt_s),
}
"""Title -> the file it needs, and the function that compares."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    shown = Table(Column("published", no_wrap=True), "rows", "in our space", "equal parameters", "seconds", "remark")
    for title, (file, compare) in TABLES.items():
        if not (folder / file).is_file():
            shown.add_row(title, "", "", "", "", f"{folder / file} is not there")
            continue
        started = time.perf_counter()
        found = compare(folder)
        counts = [f"{n:,}" for n in (found.rows, found.converted, found.equal)]
        shown.add_row(title, *counts, f"{time.perf_counter() - started:.1f}", found.remark)
    Console().print(shown)


if __name__ == "__main__":
    main()
