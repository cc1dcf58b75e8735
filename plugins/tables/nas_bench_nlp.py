"""NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022): recurrent cells that model WikiText-2, epoch by epoch.

The table has 345 trainings of 291 recipes, which are 265 different networks, of a space of 1e53: nothing next to a row
is a row. So the space of the table is one decision, which of its cells; what strategies can learn from is the graph of
the cell. A training that did not reach its 50 epochs has failed; rows are means over those of one network that did.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from nas.controller.history import Objective
from nas.controller.table import Row, Rows, Table
from nas.errors import ConfigError
from nas.plugin.registry import Blocks, Registry
from nas.space.architecture import Architecture
from nas.space.digest import digest
from nas.space.graph import Block, Element, Graph, chain, choice, graph
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

from .files import present

NAME = "nas_bench_nlp"
SOURCE = (
    "nbnlp_wikitext2_curves.json.gz, the training logs of NAS-Bench-NLP (fmsnew/nas-bench-nlp-release on GitHub; "
    "see docs/benchmarks.md)"
)
TASK = TaskInfo("wikitext2", (Port("tokens", (70,)),), 33_278, "token", vocabulary=33_278)
HIDDEN, FEATURES = (600, 600, 400), 400
EPOCHS = 50
OPS = {
    "linear": "cell_linear",
    "blend": "blend",
    "elementwise_prod": "product",
    "elementwise_sum": "add",
    "activation_tanh": "tanh",
    "activation_sigm": "sigmoid",
    "activation_leaky_relu": "leaky_relu",
}
"""Operation of a recipe -> block."""

Recipe = Mapping[str, Mapping[str, Any]]


def nas_bench_nlp(registry: Registry, *, path: str) -> Table:
    """Recurrent language models on WikiText-2, with the loss of every epoch (Klyuchnikov et al., IEEE Access 2022)."""
    runs = read(path)
    b = registry.blocks
    cells: dict[str, tuple[Recipe, Graph]] = {}
    trainings: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        cell = recipe_to_cell(run["recepie"], b)
        name = digest(cell)
        cells.setdefault(name, (run["recepie"], cell))
        trainings.setdefault(name, []).append(run)
    space = pool(b, {f"cell{i}": found for i, found in enumerate(cells.values())})
    rows: dict[Any, Row] = {f"cell{i}": _row(trainings[name]) for i, name in enumerate(cells)}
    seen, judge = (Objective(f"{part}_loss", f"{part}_loss", "minimize") for part in ("val", "test"))
    return Rows(space, (seen,), rows, judge, key=_cell)


def read(path: str) -> list[dict[str, Any]]:
    """Every training in the file."""
    file = present(path, NAME, SOURCE)
    try:
        with gzip.open(file, "rt") as text:
            runs: list[dict[str, Any]] = json.load(text)
            assert {"recepie", "val_losses", "test_losses", "wall_times"} <= runs[0].keys()
    except (OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        raise ConfigError(f"table {NAME!r}: {file} is something else; expected {SOURCE}") from error
    return runs


def pool(b: Blocks, cells: Mapping[str, tuple[Recipe, Graph]]) -> Space:
    """One decision among whole stacks of three layers of a cell, over and under a tied embedding."""

    def stack(recipe: Recipe, cell: Graph) -> Graph:
        states = new_states(recipe)
        return chain(**{f"layer{i}": b.recurrence(cell=cell, hidden=h, states=states) for i, h in enumerate(HIDDEN)})

    nodes: dict[str, tuple[Element, object]] = {
        "start": (b.embedding(vocabulary=TASK.vocabulary, features=FEATURES), "x"),
        "layers": (choice("cell", **{name: stack(*found) for name, found in cells.items()}), "start"),
        "head": (b.vocabulary_head(vocabulary=TASK.outputs), ("layers", "start")),
    }
    return Space(graph(["x"], nodes, "head"), inputs=["tokens"], name=NAME)


def new_states(recipe: Recipe) -> int:
    """How many states a recipe's cell has."""
    return sum(f"h_new_{i}" in recipe for i in range(len(recipe)))


def recipe_to_cell(recipe: Recipe, b: Blocks) -> Graph:
    """A recipe as the graph of a cell, node by node."""
    states = range(new_states(recipe))
    nodes: dict[str, tuple[Block, tuple[str, ...]]] = {
        name: (b[OPS[said["op"]]](), tuple(said["input"])) for name, said in recipe.items()
    }
    nodes["out"] = (b.pack(), tuple(f"h_new_{i}" for i in states))
    return graph(["x", *(f"h_prev_{i}" for i in states)], nodes, "out")


def _cell(architecture: Architecture) -> Hashable:
    return architecture.decisions["cell"]


def _row(runs: Sequence[Mapping[str, Any]]) -> Row:
    whole = [run for run in runs if len(run["val_losses"]) == EPOCHS] or runs[:1]
    names = ("train_losses", "val_losses", "test_losses", "wall_times")
    train, val, test, seconds = ([_mean(x) for x in zip(*(run[name] for run in whole), strict=True)] for name in names)
    curve = [
        {"epoch": float(n), "train_loss": t, "val_loss": v} for n, (t, v) in enumerate(zip(train, val, strict=True), 1)
    ]
    return Row(tuple(curve), sum(seconds), {"test_loss": test[-1]}, {"params": float(whole[0]["num_params"])})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
