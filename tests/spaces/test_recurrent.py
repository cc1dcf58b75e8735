"""The spaces mlp, recurrent_stack and recurrent_cell: sizes, and the networks that user documents print."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nas.errors import CandidateError, SpaceError
from nas.model import Blueprint, Exportable, blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.graph import Block, Graph, Node, Scalar
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas_plugins.pytorch.export import export

registry = create_manager().registry
MNIST = TaskInfo("mnist", (Port("image", (1, 28, 28)),), 10)
SERIES = TaskInfo("series", (Port("sequence", (20, 3)),), 4)
TEXT = TaskInfo("text", (Port("tokens", (12,)),), 2, vocabulary=50)
LANGUAGE = TaskInfo("language", (Port("tokens", (12,)),), 50, "token", vocabulary=50)


def made(spec: str, task: TaskInfo, **decisions: Scalar) -> Blueprint:
    space = build_space(registry, spec, task)
    named = {label.replace("__", "/"): option for label, option in decisions.items()}
    return blueprint(space.architecture(named, fill=True), task, registry)


def batch(task: TaskInfo, examples: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (examples, *task.input.shape)
    if task.input.kind == "tokens":
        return torch.randint(0, task.vocabulary, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def trains_and_exports(network: Blueprint, folder: Path) -> None:
    """One step lowers the loss of its batch; the exported files compute what was trained."""
    torch.manual_seed(0)
    task, module = network.task, network.build()
    x = batch(task)
    y = torch.arange(len(x)) % task.outputs
    steps = torch.optim.SGD(module.parameters(), 0.01)
    losses = []
    for _ in range(2):
        torch.manual_seed(1)  # the same dropout, so that the losses compare
        loss = nn.functional.cross_entropy(module(x), y)
        losses.append(loss.item())
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert losses[1] < losses[0]
    export(Exportable(network.architecture, network, module.eval(), (x,)), folder / "best")
    said = json.loads((folder / "best" / "architecture.json").read_text())
    assert said["verified"]["max_difference"] < 1e-5
    assert Architecture.from_dict(said).digest == network.architecture.digest


def leaves(network: Blueprint) -> list[nn.Module]:
    return [module for module in network.build().modules() if not list(module.children())]


def test_lstm_of_n_layers_that_reads_the_last_step(tmp_path: Path) -> None:
    network = made("recurrent_stack", SERIES, cell="lstm", layers=3, width=64, direction="one", pool="last")
    lstm = nn.LSTM(3, 64, 3, batch_first=True)
    linear = nn.Linear(64, 4)
    assert network.costs.params == sum(p.numel() for part in (lstm, linear) for p in part.parameters())
    module = network.build()
    lstm.load_state_dict(module.layers.layer.state_dict())
    linear.load_state_dict(module.head.state_dict())
    x = batch(SERIES)
    torch.testing.assert_close(module(x), linear(lstm(x)[0][:, -1]))
    trains_and_exports(network, tmp_path)


def test_perceptron_784_128_64_10(tmp_path: Path) -> None:
    network = made(
        "mlp", MNIST, depth=2, layer1__width=128, layer2__width=64, activation="relu", norm="none", dropout=0.0
    )
    assert network.costs.params == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert [type(leaf).__name__ for leaf in leaves(network)] == [
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert network.architecture.digest == build_space(registry, "mlp", MNIST).reference.digest
    trains_and_exports(network, tmp_path)


@pytest.mark.parametrize(("norm", "parts"), [("after", "Linear ReLU"), ("before", "Linear BatchNormVector ReLU")])
def test_dense_256_128_64_with_batch_norm_and_dropout(norm: str, parts: str, tmp_path: Path) -> None:
    widths = {"layer1__width": 256, "layer2__width": 128, "layer3__width": 64}
    task = TaskInfo("table", (Port("vector", (30,)),), 3)
    network = made("mlp", task, depth=3, activation="relu", norm=norm, dropout=0.5, **widths)
    names = [type(leaf).__name__ for leaf in leaves(network)]
    assert " ".join(names).startswith(parts)
    for name in ("Linear", "BatchNormVector", "ReLU", "Dropout"):
        assert names.count(name) == 3 + (name == "Linear")
    assert [layer.p for layer in leaves(network) if isinstance(layer, nn.Dropout)] == [0.5] * 3
    sizes = [30, 256, 128, 64, 3]
    assert network.costs.params == sum(a * c + c for a, c in pairwise(sizes)) + 2 * (256 + 128 + 64)
    if norm == "after":
        trains_and_exports(network, tmp_path)


def test_embedding_and_lstm_128_on_text(tmp_path: Path) -> None:
    network = made("recurrent_stack", TEXT, cell="lstm", width=128, layers=1, embedding=128, pool="last")
    lstm = 4 * 128 * (128 + 128 + 2)
    assert network.costs.params == 50 * 128 + lstm + 128 * 2 + 2
    trains_and_exports(network, tmp_path)


@pytest.mark.parametrize("cell", ["rnn", "gru", "min_gru", "lstm"])
@pytest.mark.parametrize("task", [SERIES, TEXT, MNIST], ids=lambda task: task.name)
def test_every_cell_takes_sequences_tokens_and_rows(cell: str, task: TaskInfo) -> None:
    network = made("recurrent_stack", task, cell=cell, layers=2, direction="two", pool="attention", width=32)
    assert network.build()(batch(task)).shape == (6, task.outputs)


def test_language_models_never_look_ahead() -> None:
    """Whatever is sampled: the scores at a position do not change with the tokens after it."""
    rng = random.Random(0)
    for spec in ("recurrent_stack", "recurrent_cell:nodes=5,states=1"):
        space = build_space(registry, spec, LANGUAGE)
        for _ in range(6):
            try:
                network = blueprint(space.sample(rng), LANGUAGE, registry).build().eval()
            except CandidateError:
                continue
            x = batch(LANGUAGE, 2)
            changed = x.clone()
            changed[:, 7:] = (x[:, 7:] + 1) % 50
            torch.testing.assert_close(network(x)[:, :7], network(changed)[:, :7])


def test_sizes_are_those_of_the_docstrings() -> None:
    def size(spec: str, task: TaskInfo) -> int:
        return build_space(registry, spec, task).size

    assert size("mlp", MNIST) == 4185
    assert size("mlp:layers=4", MNIST) == 27 * (5 + 25 + 125 + 625)
    assert size("recurrent_stack", SERIES) == 1152
    assert size("recurrent_stack", TEXT) == 3 * 1152
    assert size("recurrent_stack:layers=2", LANGUAGE) == 144 * 2
    for nodes, s in ((3, 1), (8, 2), (12, 3)):
        product = s + s * s
        for v in range(s + 1, s + nodes):
            product *= 2 * v**3 + 4 * v**2 + 4 * v
        assert size(f"recurrent_cell:nodes={nodes},states={s}", SERIES) == product * nodes**s
    assert f"{size('recurrent_cell', SERIES):.1e}" == "3.9e+21"


@pytest.mark.parametrize("spec", ["recurrent_stack", "recurrent_cell"])
def test_tokens_of_an_unknown_vocabulary_are_refused(spec: str) -> None:
    with pytest.raises(SpaceError, match="tokens of a known vocabulary"):
        build_space(registry, spec, TaskInfo("text", (Port("tokens", (12,)),), 2))


@pytest.mark.parametrize("spec", ["mlp", "recurrent_stack", "recurrent_cell"])
def test_other_inputs_are_refused(spec: str) -> None:
    with pytest.raises(SpaceError, match="takes"):
        build_space(registry, spec, TaskInfo("two", (Port("vector", (12,)), Port("vector", (12,))), 2))
    if spec != "mlp":
        with pytest.raises(SpaceError, match="got vector"):
            build_space(registry, spec, TaskInfo("table", (Port("vector", (12,)),), 2))


def cell_in(network: Graph) -> Graph:
    (layers,) = (node.op for node in network.nodes if node.name == "layers")
    cell = dict(layers.nodes[0].op.params)["cell"]  # type: ignore[union-attr]
    assert isinstance(cell, Graph)
    return cell


def with_cell(network: Architecture, cell: Graph) -> Architecture:
    def swapped(op: object) -> object:
        if isinstance(op, Graph):
            return Graph(op.inputs, tuple(Node(n.name, swapped(n.op), n.inputs) for n in op.nodes), op.output)  # type: ignore[arg-type]
        assert isinstance(op, Block)
        params = tuple((name, cell if name == "cell" else value) for name, value in op.params)
        return Block(op.signature, params)

    graph = swapped(network.graph)
    assert isinstance(graph, Graph)
    return Architecture(graph)


def flat_names(cell: Graph, rng: random.Random) -> tuple[Graph, dict[str, str]]:
    """The cell with its nodes renamed and in another order, and the new names."""
    fresh = [f"m{i}" for i in range(len(cell.nodes))]
    rng.shuffle(fresh)
    called = dict(zip((node.name for node in cell.nodes), fresh, strict=True))
    nodes = [Node(called[n.name], n.op, tuple(called.get(i, i) for i in n.inputs)) for n in cell.nodes]
    rng.shuffle(nodes)
    return Graph.checked(cell.inputs, nodes, called[cell.output], dangling=True), called


def test_renamed_cells_have_equal_digests_and_compute_the_same() -> None:
    space, rng = build_space(registry, "recurrent_cell:nodes=6,hidden=8", SERIES), random.Random(3)
    compared = 0
    while compared < 10:
        one = space.sample(rng)
        cell, called = flat_names(cell_in(one.graph), rng)
        other = with_cell(one, cell)
        assert other.digest == one.digest
        try:
            here, there = blueprint(one, SERIES, registry).build(), blueprint(other, SERIES, registry).build()
        except CandidateError:
            continue
        state = {}
        for name, value in here.state_dict().items():
            parts = name.split(".")
            if "cell" in parts:
                at = parts.index("cell") + 1
                node, _, inside = parts[at].partition("_")
                parts[at] = f"{called[node]}_{inside}" if inside else called[node]
            state[".".join(parts)] = value
        there.load_state_dict(state)
        x = batch(SERIES)
        torch.testing.assert_close(here(x), there(x), equal_nan=True)  # products of states may overflow
        compared += 1


def test_the_reference_is_elmans_cell() -> None:
    space = build_space(registry, "recurrent_cell:states=1,hidden=8", SERIES)
    module = blueprint(space.reference, SERIES, registry).build()
    elman, linear = nn.RNN(3, 8, batch_first=True), module.layers_layer0.cell.n0_out
    with torch.no_grad():
        elman.weight_ih_l0.copy_(linear.weights[0].T)
        elman.weight_hh_l0.copy_(linear.weights[1].T)
        elman.bias_ih_l0.copy_(linear.bias)
        elman.bias_hh_l0.zero_()
    x = batch(SERIES)
    torch.testing.assert_close(module.layers_layer0(x), elman(x)[0])


def test_most_sampled_cells_can_be_built() -> None:
    rng, refused = random.Random(0), 0
    space: Space = build_space(registry, "recurrent_cell", SERIES)
    for _ in range(60):
        try:
            blueprint(space.sample(rng), SERIES, registry)
        except CandidateError:
            refused += 1
    assert refused <= 15
