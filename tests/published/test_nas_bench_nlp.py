"""NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022): its recipes are points of `recurrent_cell`, with its sizes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx as nx
import pytest
import torch
from torch import Tensor, nn

from nas.model import blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.digest import digest
from nas.space.ports import Port, TaskInfo

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "bench"
LANGUAGE = TaskInfo("language", (Port("tokens", (6,)),), 11, "token", vocabulary=11)

needs_table = pytest.mark.skipif(
    not (FOLDER / "nbnlp_wikitext2_curves.json.gz").is_file(),
    reason="needs ../shared/data/bench/nbnlp_wikitext2_curves.json.gz",
)
registry = create_manager().registry
GRU = {
    "r": {"op": "linear", "input": ["x", "h_prev_0"]},
    "r_act": {"op": "activation_sigm", "input": ["r"]},
    "z": {"op": "linear", "input": ["h_prev_0", "x"]},
    "z_act": {"op": "activation_sigm", "input": ["z"]},
    "rh": {"op": "elementwise_prod", "input": ["r_act", "h_prev_0"]},
    "h_tilde": {"op": "linear", "input": ["x", "rh"]},
    "h_tilde_act": {"op": "activation_tanh", "input": ["h_tilde"]},
    "h_new_0": {"op": "blend", "input": ["z_act", "h_prev_0", "h_tilde_act"]},
}


@pytest.fixture(scope="module")
def published() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published", ROOT / "benchmarks" / "published.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published"] = module
    spec.loader.exec_module(module)
    return module


def network(published: ModuleType, recipe: dict[str, Any]) -> Any:
    """The recipe in one layer, 4 wide, over an embedding of 4 features."""
    spec = f"recurrent_cell:nodes={len(recipe) + 1},states={published.new_states(recipe)},features=4,hidden=4"
    space = build_space(registry, spec, LANGUAGE)
    return space.architecture(published.recipe_decisions(recipe), fill=True)


def interpreted(
    recipe: dict[str, Any], linears: Mapping[str, tuple[list[Tensor], Tensor]], x: Tensor, old: list[Tensor]
) -> list[Tensor]:
    """One step of a recipe, computed as the paper defines its operations."""
    known = {"x": x, **{f"h_prev_{i}": h for i, h in enumerate(old)}}

    def value(name: str) -> Tensor:
        if name not in known:
            op, given = recipe[name]["op"], [value(source) for source in recipe[name]["input"]]
            if op == "linear":
                weights, bias = linears[name]
                known[name] = bias + sum(g @ w for w, g in zip(weights, given, strict=True))
            elif op == "blend":
                known[name] = given[0] * given[1] + (1 - given[0]) * given[2]
            elif op.startswith("elementwise"):
                known[name] = given[0] * given[1] if op.endswith("prod") else given[0] + given[1]
            else:
                acts = {"tanh": torch.tanh, "sigm": torch.sigmoid, "leaky_relu": nn.LeakyReLU()}
                known[name] = acts[op.removeprefix("activation_")](given[0])
        return known[name]

    return [value(f"h_new_{i}") for i in range(len(old))]


def same_numbers(published: ModuleType, recipe: dict[str, Any]) -> bool:
    """Whether the compiled cell computes, over 6 steps, what the interpreter computes with the same weights."""
    torch.manual_seed(0)
    made = blueprint(network(published, recipe), LANGUAGE, registry).build()
    layer = made.layers_layer0
    linears = {}
    for name, said in recipe.items():
        if said["op"] == "linear":
            mine = getattr(layer.cell, f"{published.called(recipe)[name]}_out")
            linears[name] = (in_order(mine.weights, said["input"]), mine.bias)
    x = 3 * torch.randn(2, 6, 4)
    old = [torch.zeros(2, 4)] * published.new_states(recipe)
    wanted = []
    for now in x.unbind(1):
        old = interpreted(recipe, linears, now, old)
        wanted.append(old[0])
    return torch.allclose(layer(x), torch.stack(wanted, dim=1), atol=1e-5, equal_nan=True)


def in_order(weights: Iterable[Tensor], inputs: list[str]) -> list[Tensor]:
    """The weights of our linear map, which takes x first, in the order of the recipe's inputs."""
    found = list(weights)
    if "x" in inputs:
        found.insert(inputs.index("x"), found.pop(0))
    return found


def test_the_gru_of_the_paper_becomes_a_point_of_the_space(published: ModuleType) -> None:
    made = network(published, GRU)
    assert digest(published.searched_cell(made.graph)) == digest(published.recipe_to_cell(GRU, registry.blocks))
    assert same_numbers(published, GRU)


def test_another_recipe_is_another_cell(published: ModuleType) -> None:
    other = GRU | {"h_new_0": {"op": "blend", "input": ["z_act", "h_tilde_act", "h_prev_0"]}}
    assert network(published, other).digest != network(published, GRU).digest
    turned = GRU | {"r": {"op": "linear", "input": ["h_prev_0", "x"]}}
    assert network(published, turned).digest == network(published, GRU).digest


@needs_table
def test_every_recipe_is_a_point_of_the_space_and_has_the_published_size(published: ModuleType) -> None:
    found = published.nas_bench_nlp(FOLDER)
    assert (found.rows, found.converted, found.equal) == (291, 291, 291)


@needs_table
def test_recipes_compute_what_the_paper_says(published: ModuleType) -> None:
    rows = published.recipes(FOLDER)
    assert all(same_numbers(published, recipe) for recipe, _ in rows[::12])


def drawn(recipe: dict[str, Any]) -> nx.MultiDiGraph[str]:
    """A recipe for networkx: what a node does and which state it is; only the inputs of a blend have an order."""
    made: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for name in {source for said in recipe.values() for source in said["input"]} - recipe.keys():
        made.add_node(name, does=name)
    for name, said in recipe.items():
        made.add_node(name, does=(said["op"], name if name.startswith("h_new") and name[6:].isdigit() else ""))
        edges = enumerate(said["input"])
        made.add_edges_from((source, name, {"port": port if said["op"] == "blend" else 0}) for port, source in edges)
    return made


def isomorphic(one: dict[str, Any], other: dict[str, Any]) -> bool:
    match = nx.algorithms.isomorphism
    nodes, edges = match.categorical_node_match("does", ""), match.categorical_multiedge_match("port", 0)
    return bool(nx.is_isomorphic(drawn(one), drawn(other), nodes, edges))


@needs_table
def test_the_291_recipes_are_265_networks(published: ModuleType) -> None:
    """26 rows of the table train a network again that another row has: the digest and networkx agree on which."""
    groups: dict[str, list[tuple[dict[str, Any], int]]] = {}
    for recipe, params in published.recipes(FOLDER):
        groups.setdefault(digest(published.recipe_to_cell(recipe, registry.blocks)), []).append((recipe, params))
    assert sum(map(len, groups.values())) == 291
    assert len(groups) == 265
    assert all(isomorphic(group[0][0], other) for group in groups.values() for other, _ in group[1:])
    firsts = [group[0] for group in groups.values()]
    alike = [(one[0], other[0]) for one, other in combinations(firsts, 2) if one[1] == other[1]]
    assert not any(isomorphic(one, other) for one, other in alike)
