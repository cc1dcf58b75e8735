"""NAS-Bench-201 (Dong & Yang, ICLR 2020): strings there and back, published sizes, and what equal digests promise."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import CandidateError, SpaceError
from nas.model import blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.flat import flatten
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas_search_spaces.nas_bench_201 import from_string, to_string

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT.parent / "shared" / "data" / "bench" / "nb201_cifar10.npz"
CIFAR10 = TaskInfo("cifar10", (Port("image", (3, 32, 32)),), 10)
TINY = TaskInfo("tiny", (Port("image", (2, 8, 8)),), 3)

needs_table = pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/data/bench/nb201_cifar10.npz")
registry = create_manager().registry


@pytest.fixture(scope="module")
def published() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published", ROOT / "benchmarks" / "published.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def space() -> Space:
    return build_space(registry, "nas_bench_201", CIFAR10)


@pytest.fixture(scope="module")
def small() -> Space:
    return build_space(registry, "nas_bench_201:channels=4,cells=1", TINY)


def test_every_architecture_has_a_string_of_its_own_and_comes_back(space: Space) -> None:
    strings = set()
    for architecture in space.enumerate():
        text = to_string(architecture)
        assert from_string(space, text).decisions == architecture.decisions
        strings.add(text)
    assert len(strings) == space.size == 15_625


@needs_table
def test_strings_of_the_table_are_those_of_the_space(space: Space) -> None:
    with np.load(TABLE, allow_pickle=False) as table:
        strings = table["arch_str"].astype(str).tolist()
    assert set(strings) == {to_string(architecture) for architecture in space.enumerate()}
    assert len(strings) == 15_625


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a string like"),
        ("|none~0|+|none~0|none~1|", "expected a string like"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~3|", "expected a string like"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x4~2|", "unknown option of decision 'edge23' .*3x4"),
    ],
)
def test_other_text_is_refused(text: str, said: str, space: Space) -> None:
    with pytest.raises(SpaceError, match=said):
        from_string(space, text)


@needs_table
def test_every_set_of_operations_has_the_published_size(space: Space) -> None:
    """One row for each of the 210 ways to take six operations, and a thousand more: the size rests on nothing else."""
    with np.load(TABLE, allow_pickle=False) as table:
        strings, params = table["arch_str"].astype(str), table["params_M_c10"]
        _, rows = np.unique(np.sort(table["ops"], axis=1), axis=0, return_index=True)
    assert len(rows) == 210
    chosen = {*rows.tolist(), *random.Random(0).sample(range(len(strings)), 1_000)}
    for row in chosen:
        made = blueprint(from_string(space, strings[row]), CIFAR10, registry, simplify=False)
        assert made.costs.params == round(float(params[row]) * 1e6), strings[row]


@needs_table
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_row_has_the_published_size(published: ModuleType) -> None:
    found = published.nas_bench_201(TABLE.parent)
    assert (found.rows, found.converted, found.equal) == (15_625, 15_625, 15_625)


@needs_table
def test_modules_have_the_parameters_that_blueprints_count(space: Space) -> None:
    with np.load(TABLE, allow_pickle=False) as table:
        strings, params = table["arch_str"].astype(str)[::3_000], table["params_M_c10"][::3_000]
    for text, millions in zip(strings, params, strict=True):
        module = blueprint(from_string(space, text), CIFAR10, registry, simplify=False).build_meta()
        assert sum(p.numel() for p in module.parameters()) == round(float(millions) * 1e6)


def test_equal_digests_give_equal_outputs_with_matched_weights(small: Space) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    compared = 0
    for one, other in pairs(small, 30):
        try:
            first, second = (blueprint(a, TINY, registry).build().double() for a in (one, other))
        except CandidateError:  # constants, which have one digest too
            continue
        for mine, theirs in isomorphism(one, other).items():
            submodule(second, theirs).load_state_dict(submodule(first, mine).state_dict())
        torch.testing.assert_close(first(x), second(x), atol=1e-9, rtol=1e-9)
        compared += 1
    assert compared >= 20


def test_other_digests_are_other_networks(small: Space) -> None:
    rng = random.Random(1)
    drawn = [small.sample(rng) for _ in range(60)]
    for one, other in [*pairwise(drawn), *pairs(small, 10)]:
        assert (isomorphism(one, other) is None) == (one.digest != other.digest)


def pairs(space: Space, count: int) -> Iterator[tuple[Architecture, Architecture]]:
    """Architectures that are labelled differently and have one digest."""
    rng = random.Random(0)
    classes: defaultdict[str, list[Architecture]] = defaultdict(list)
    for architecture in (space.sample(rng) for _ in range(1_500)):
        classes[architecture.digest].append(architecture)
    found = 0
    for one, *others in classes.values():
        for other in others:
            if other.decisions != one.decisions and found < count:
                found += 1
                yield one, other


def isomorphism(one: Architecture, other: Architecture) -> dict[str, str] | None:
    """Path -> path of the blocks that play one part in two simplified networks, None where there is no such match."""
    match = nx.isomorphism
    matcher = match.MultiDiGraphMatcher(
        drawn(one),
        drawn(other),
        match.categorical_node_match("label", None),
        match.categorical_multiedge_match("port", None),
    )
    if not matcher.is_isomorphic():
        return None
    return {a: b for a, b in matcher.mapping.items() if "label" in matcher.G1.nodes[a]}


def drawn(architecture: Architecture) -> nx.MultiDiGraph:
    """The simplified network with an edge for every time that a value is added."""
    flat = flatten(architecture.graph)
    graph = nx.MultiDiGraph()
    names = [*(f"input {name}" for name in flat.inputs), *(term.path for term in flat.terms)]
    graph.add_nodes_from(names[: len(flat.inputs)])
    for term in flat.terms:
        graph.add_node(term.path, label=term.block.label)
        for number, port in enumerate(term.ports):
            graph.add_edges_from((names[i], term.path, {"port": number}) for i in port)
    graph.add_edges_from((names[i], "output", {"port": 0}) for i in flat.output)
    return graph


def submodule(network: nn.Module, path: str) -> nn.Module:
    """The block at `path` of a compiled network."""
    return network.get_submodule(path.replace("/", "_"))
