"""Published architectures against ours: how many are points of our space, and how many have the published size.

    python benchmarks/published.py [FOLDER]

FOLDER holds the published tables, by default ``../shared/data/bench`` beside the repository; what is not there is left
out. Each function of `TABLES` converts every row of one table, compiles it on the meta device and compares.
"""

from __future__ import annotations

import gzip
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from nas.model import blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.digest import digest
from nas.space.graph import Block, Graph, Scalar
from nas.space.ports import Port, TaskInfo

_nlp = importlib.import_module("nas_plugins.tables.nas_bench_nlp")
OPS, new_states, recipe_to_cell = _nlp.OPS, _nlp.new_states, _nlp.recipe_to_cell
Recipe = Mapping[str, Mapping[str, Any]]

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


def nas_bench_201(folder: Path, step: int = 1) -> Agreement:
    """NAS-Bench-201 (Dong & Yang, ICLR 2020): 15,625 cells; every `step`-th row, compiled without simplification."""
    registry = create_manager().registry
    task = TaskInfo("cifar10", (Port("image", (3, 32, 32)),), 10)
    space = build_space(registry, "nas_bench_201", task)
    strings_of = importlib.import_module("nas_search_spaces.nas_bench_201")
    with np.load(folder / "nb201_cifar10.npz", allow_pickle=False) as table:
        strings, params = table["arch_str"][::step].astype(str).tolist(), table["params_M_c10"][::step].tolist()
    converted = equal = 0
    for text, millions in zip(strings, params, strict=True):
        architecture = strings_of.from_string(space, text)
        converted += strings_of.to_string(architecture) == text and architecture in space
        equal += blueprint(architecture, task, registry, simplify=False).costs.params == round(millions * 1e6)
    return Agreement(len(strings), converted, equal, "16 channels, 3 x 5 cells; strings there and back")


def nas_bench_nlp(folder: Path, step: int = 1) -> Agreement:
    """NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022): cells of the space `recurrent_cell`; every `step`-th row.

    Embedding 400 wide and tied, layers 600, 600 and 400 wide, WikiText-2's 33,278 tokens.
    """
    registry = create_manager().registry
    task = TaskInfo("wikitext2", (Port("tokens", (4,)),), 33_278, "token", vocabulary=33_278)
    rows = recipes(folder)[::step]
    nodes, networks = 1 + max(len(recipe) for recipe, _ in rows), set()
    spec = f"recurrent_cell:nodes={nodes},layers=3,features=400,hidden=600,states="
    spaces = {states: build_space(registry, f"{spec}{states}", task) for states in {new_states(row) for row, _ in rows}}
    converted = equal = 0
    for recipe, params in rows:
        space = spaces[new_states(recipe)]
        architecture = space.architecture(recipe_decisions(recipe), fill=True)
        networks.add(cell := digest(recipe_to_cell(recipe, registry.blocks)))
        same = digest(searched_cell(architecture.graph)) == cell
        converted += same and architecture in space
        equal += blueprint(architecture, task, registry).costs.params == params
    return Agreement(
        len(rows), converted, equal, f"{len(networks)} different networks; tied embedding, bias of the decoder"
    )


def recipes(folder: Path) -> list[tuple[Recipe, int]]:
    """The distinct recipes of the table, each with its number of parameters."""
    with gzip.open(folder / "nbnlp_wikitext2_curves.json.gz", "rt") as file:
        rows = json.load(file)
    return list(
        {json.dumps(row["recepie"], sort_keys=True): (row["recepie"], row["num_params"]) for row in rows}.values()
    )


def called(recipe: Recipe) -> dict[str, str]:
    """The nodes of a recipe -> what `recurrent_cell` calls them; its node 0, always a linear map, is spare."""
    inner = {name: [source for source in said["input"] if source in recipe] for name, said in recipe.items()}
    nodes = {name: f"n{i}" for i, name in enumerate(TopologicalSorter(inner).static_order(), 1)}
    return nodes | {f"h_prev_{i}": f"h{i}" for i in range(new_states(recipe))}


def recipe_decisions(recipe: Recipe) -> dict[str, Scalar]:
    """A recipe as decisions of the space `recurrent_cell`, which must have a node more than the recipe."""
    names = called(recipe)
    decisions: dict[str, Scalar] = {f"new{i}": names[f"h_new_{i}"] for i in range(new_states(recipe))}
    for name, said in recipe.items():
        values = [names[source] for source in said["input"] if source != "x"]
        reads = "x" * ("x" in said["input"]) + "v" * len(values)
        decisions[names[name]] = f"{OPS[said['op']]}:{reads}"
        decisions |= {f"{names[name]}/value{i}": value for i, value in enumerate(values)}
    return decisions


def searched_cell(network: Graph) -> Graph:
    """The cell of a network of the space `recurrent_cell`."""
    layers = next(node.op for node in network.nodes if node.name == "layers")
    assert isinstance(layers, Graph)
    first = layers.nodes[0].op
    assert isinstance(first, Block)
    cell = dict(first.params)["cell"]
    assert isinstance(cell, Graph)
    return cell


TABLES: dict[str, tuple[str, Callable[[Path], Agreement]]] = {
    "NAS-Bench-201": ("nb201_cifar10.npz", nas_bench_201),
    "HW-GPT-Bench-S": ("hwgpt_s.npz", hwgpt_s),
    "NAS-Bench-NLP": ("nbnlp_wikitext2_curves.json.gz", nas_bench_nlp),
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
