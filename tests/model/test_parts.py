"""Arguments of blocks that are modules: graphs of their own, and blocks whose weights are shared."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import CandidateError, SpaceError
from nas.model import Blueprint, Exportable, blueprint, count_flops, count_params
from nas.plugin.registry import Blocks, Registry
from nas.space.architecture import Architecture
from nas.space.graph import Element, Graph, chain, choice, graph
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas_plugins.pytorch.export import export

TASK = TaskInfo("series", (Port("sequence", (7, 5)),), outputs=3)
LANGUAGE = TaskInfo("language", (Port("tokens", (6,)),), 11, "token", vocabulary=11)
Nodes = dict[str, tuple[Element, object]]


def lstm_cell(b: Blocks, names: dict[str, str] | None = None, turned: bool = False) -> Graph:
    """The usual LSTM cell; `names` renames nodes, `turned` turns nodes and inputs without order round."""
    gates = {"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"}
    nodes: Nodes = {f"{gate}_sum": (b.cell_linear(), ("x", "h0")) for gate in gates}
    nodes |= {gate: (b[act](), f"{gate}_sum") for gate, act in gates.items()}
    nodes |= {"kept": (b.product(), ("f", "h1")), "written": (b.product(), ("i", "g"))}
    nodes |= {"c": (b.add(), ("kept", "written")), "shown": (b.tanh(), "c"), "h": (b.product(), ("o", "shown"))}
    nodes["out"] = (b.pack(), ("h", "c"))
    if turned:
        free = {name for name, (block, _) in nodes.items() if block.name in ("cell_linear", "product", "add")}  # type: ignore[union-attr]
        nodes = {n: (op, tuple(reversed(ins)) if n in free else ins) for n, (op, ins) in reversed(nodes.items())}  # type: ignore[call-overload]
    new = names or {}
    renamed: Nodes = {}
    for name, (op, ins) in nodes.items():
        sources = (ins,) if isinstance(ins, str) else ins
        renamed[new.get(name, name)] = (op, tuple(new.get(source, source) for source in sources))  # type: ignore[union-attr]
    return graph(["x", "h0", "h1"], renamed, "out")


def classifier(b: Blocks, *cells: Graph, hidden: int = 4, states: int = 2) -> Architecture:
    layers = {f"layer{i}": b.recurrence(cell=cell, hidden=hidden, states=states) for i, cell in enumerate(cells)}
    return Space(chain(**layers, last=b.last_step(), head=b.linear(features=3)), inputs=["sequence"]).reference


def language_model(b: Blocks) -> Architecture:
    nodes: Nodes = {
        "embedding": (b.embedding(vocabulary=11, features=5), "x"),
        "layer": (b.gru(hidden=5), "embedding"),
        "head": (b.vocabulary_head(vocabulary=11), ("layer", "embedding")),
    }
    return Space(graph(["x"], nodes, "head"), inputs=["tokens"]).reference


def test_a_cell_that_is_a_graph_computes_what_the_layer_does(b: Blocks, registry: Registry) -> None:
    network = blueprint(classifier(b, lstm_cell(b)), TASK, registry).build()
    wanted = nn.LSTM(5, 4, batch_first=True)
    cell = network.layer0.cell
    with torch.no_grad():
        for row, gate in enumerate("ifgo"):
            rows, linear = slice(4 * row, 4 * row + 4), getattr(cell, f"{gate}_sum")
            wanted.weight_ih_l0[rows] = linear.weights[0].T
            wanted.weight_hh_l0[rows] = linear.weights[1].T
            wanted.bias_ih_l0[rows] = linear.bias
        wanted.bias_hh_l0.zero_()
    x = torch.randn(2, 7, 5)
    torch.testing.assert_close(network.layer0(x), wanted(x)[0])
    torch.testing.assert_close(network(x), network.head(wanted(x)[0][:, -1]))


def test_the_cell_is_a_class_of_its_own_before_the_network(b: Blocks, registry: Registry) -> None:
    cell = lstm_cell(b)
    made = blueprint(classifier(b, cell, cell, cell), TASK, registry)
    assert [line for line in made.source.splitlines() if line.startswith("class ")] == [
        "class Layer0Cell(nn.Module):",
        "class Layer1Cell(nn.Module):",
        "class Network(nn.Module):",
    ]
    assert "self.layer0 = Recurrence(in_features=5, cell=Layer0Cell(), hidden=4, states=2)" in made.source
    assert "self.layer2 = Recurrence(in_features=4, cell=Layer1Cell(), hidden=4, states=2)" in made.source
    assert "def forward(self, x: torch.Tensor, h0: torch.Tensor, h1: torch.Tensor) -> torch.Tensor:" in made.source
    assert made.shapes["layer2/cell/out"] == Port("vector", (8,))
    network = made.build()
    assert network.layer1.cell.i_sum.bias is not network.layer2.cell.i_sum.bias


def test_costs_count_every_step(b: Blocks, registry: Registry) -> None:
    cell = lstm_cell(b)
    made = blueprint(classifier(b, cell, cell), TASK, registry)
    assert made.costs.params == count_params(made.build())
    assert made.costs.flops == count_flops(made.build_meta(), [torch.empty(1, 7, 5, device="meta")])
    steps = 2 * 4 * 4 * ((5 + 4) + (4 + 4))
    assert made.costs.flops == 7 * steps + 2 * 4 * 3


def test_names_and_order_in_a_cell_do_not_change_the_digest(b: Blocks) -> None:
    plain = classifier(b, lstm_cell(b))
    names = dict(zip(["i", "f", "g", "o", "h", "c"], ["n5", "n1", "n0", "z", "y", "a"], strict=True))
    assert classifier(b, lstm_cell(b, names)).digest == plain.digest
    assert classifier(b, lstm_cell(b, turned=True)).digest == plain.digest
    assert classifier(b, lstm_cell(b, names, turned=True)).digest == plain.digest


def test_another_cell_has_another_digest(b: Blocks) -> None:
    def cell(act: str, last: tuple[str, ...]) -> Graph:
        nodes: Nodes = {"a": (b.cell_linear(), ("x", "h0", "h1")), "b": (b[act](), "a"), "c": (b.pack(), last)}
        return graph(["x", "h0", "h1"], nodes, "c")

    made = [cell("tanh", ("a", "b")), cell("sigmoid", ("a", "b")), cell("tanh", ("b", "a")), cell("tanh", ("b", "b"))]
    assert len({classifier(b, one).digest for one in made}) == 4
    assert classifier(b, made[0], hidden=4).digest != classifier(b, made[0], hidden=6).digest


def test_a_cell_is_simplified_as_networks_are(b: Blocks, registry: Registry) -> None:
    nodes: Nodes = {
        "a": (b.cell_linear(), ("x", "h0")),
        "same": (b.identity(), "a"),
        "nothing": (b.zero(), "h0"),
        "kept": (b.product(), ("nothing", "nothing")),
        "sum": (b.add(), ("same", "kept")),
        "out": (b.pack(), "sum"),
    }
    plain = graph(["x", "h0"], {"a": (b.cell_linear(), ("x", "h0")), "out": (b.pack(), "a")}, "out")
    written = classifier(b, graph(["x", "h0"], nodes, "out"), states=1)
    assert written.digest == classifier(b, plain, states=1).digest
    simple, full = (blueprint(written, TASK, registry, simplify=simplify) for simplify in (True, False))
    assert "Zero(" not in simple.source
    assert "Zero(" in full.source
    x, network, other = torch.randn(2, 7, 5), simple.build(), full.build()
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(x), other(x))


def test_a_zero_that_a_cell_reads_has_its_shape(b: Blocks, registry: Registry) -> None:
    nodes: Nodes = {
        "nothing": (b.zero(), "h0"),
        "a": (b.cell_linear(), ("x", "nothing")),
        "out": (b.pack(), "a"),
    }
    made = blueprint(classifier(b, graph(["x", "h0"], nodes, "out"), states=1), TASK, registry)
    assert "a = self.a(x, x.new_zeros(x.shape[0], 4))" in made.source
    assert made.build()(torch.randn(2, 7, 5)).shape == (2, 3)


def cell_of(b: Blocks, **nodes: tuple[Element, object]) -> Graph:
    return graph(["x", "h0"], nodes, list(nodes)[-1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda b: cell_of(b, a=(b.tanh(), "h0")), "layer0/cell: nothing leads from 'x' to the graph's output"),
        (lambda b: chain(a=b.cell_linear(), c=b.pack()), "layer0/cell: the graph takes x, and 2 values come in"),
        (
            lambda b: cell_of(b, a=(b.cell_linear(features=3), "x"), c=(b.product(), ("a", "h0"))),
            "layer0/cell/c: block product cannot take vector (D=3) and vector (D=4)",
        ),
        (
            lambda b: cell_of(b, a=(b.add(), ("x", "h0"))),
            "layer0/cell: the output adds values of one shape, got vector (D=5) from input 0 and vector (D=4)",
        ),
        (lambda b: cell_of(b, a=(b.pack(), "x"), c=(b.conv(), "a")), "layer0/cell/c: block conv takes image"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(
    b: Blocks, registry: Registry, wrong: Callable[[Blocks], Graph], message: str
) -> None:
    with pytest.raises((CandidateError, SpaceError)) as caught:
        blueprint(classifier(b, wrong(b), states=1), TASK, registry)
    assert message in str(caught.value)


def test_a_cell_must_give_its_states(b: Blocks, registry: Registry) -> None:
    cell = cell_of(b, a=(b.cell_linear(), "x"), c=(b.pack(), ("a", "h0")))
    with pytest.raises(CandidateError, match="expected 1 states of 4 features side by side from the cell, got 8 feat"):
        blueprint(classifier(b, cell, states=1), TASK, registry)


class Plain(nn.Module):
    """Takes anything as `body`, but does not say what flows into it."""

    def __init__(self, *, body: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


class Twice(Plain):
    """Runs its body on halves of the features."""

    @staticmethod
    def body_inputs(in_shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
        return [("vector", (in_shape[0] // 2,))]

    def __init__(self, *, in_shape: tuple[int, ...], body: nn.Module | None = None) -> None:
        super().__init__(body=body)

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return torch.cat([self.body(x[:, :half]), self.body(x[:, half:])], dim=-1)


class Careless(Twice):
    """Runs its body on another shape than it says."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


VECTOR = TaskInfo("vectors", (Port("vector", (8,)),), outputs=4)


def test_graphs_stand_inside_graphs(register: Callable[..., Blocks], registry: Registry) -> None:
    b = register("twice", Twice, inputs=("vector",), output="vector", parameters={"body": None})
    inner = graph(["v"], {"linear": (b.linear(features=1), "v")}, "linear")
    outer = graph(["v"], {"twice": (b.twice(body=inner), "v")}, "twice")
    made = blueprint(Space(chain(first=b.twice(body=outer)), inputs=["vector"]).reference, VECTOR, registry)
    classes = [line for line in made.source.splitlines() if line.startswith("class ")]
    assert classes[0] == "class FirstBodyTwiceBody(nn.Module):"
    assert classes[1] == "class FirstBody(nn.Module):"
    assert made.costs.params == count_params(made.build()) == 2 + 1
    assert made.costs.flops == count_flops(made.build_meta(), [torch.empty(1, 8, device="meta")]) == 2 * 2 * 4


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Plain, "its class Plain takes no graph as 'body': it has no method 'body_inputs'"),
        (Careless, "expected vector (D=4) for its graph, got shapes [(8,)]"),
    ],
)
def test_a_block_must_say_what_flows_into_its_graph(
    register: Callable[..., Blocks], registry: Registry, cls: type[nn.Module], message: str
) -> None:
    b = register("broken", cls, inputs=("vector",), output="vector", parameters={"body": None})
    body = chain(linear=b.linear(features=4))
    with pytest.raises(CandidateError) as caught:
        blueprint(Space(chain(first=b.broken(body=body)), inputs=["vector"]).reference, VECTOR, registry)
    assert message in str(caught.value)


def test_a_tied_head_has_the_embeddings_weights(b: Blocks, registry: Registry) -> None:
    made = blueprint(language_model(b), LANGUAGE, registry)
    assert "self.head = VocabularyHead(in_features=5, tied_to=self.embedding, vocabulary=11)" in made.source
    network = made.build()
    assert made.costs.params == count_params(network) == 11 * 5 + 2 * (3 * 5 * 5 + 3 * 5) + 11
    assert [name for name in network.state_dict() if not name.startswith("layer.")] == ["embedding.weight", "head.bias"]
    tokens = torch.randint(0, 11, (2, 6))
    states = network.layer(network.embedding(tokens))
    torch.testing.assert_close(network(tokens), F.linear(states, network.embedding.weight, network.head.bias))
    copied = copy.deepcopy(network)
    with torch.no_grad():
        copied.embedding.weight.zero_()
    assert not copied(tokens).any()
    assert network(tokens).any()


def test_training_a_tied_embedding_reaches_it_from_both_ends(b: Blocks, registry: Registry) -> None:
    network = blueprint(language_model(b), LANGUAGE, registry).build()
    network(torch.zeros(1, 6, dtype=torch.int64)).logsumexp(dim=-1).sum().backward()
    assert network.embedding.weight.grad[5].any()  # a token that only the head sees
    before = network.embedding.weight.clone()
    torch.optim.SGD(network.parameters(), 0.1).step()
    assert not torch.equal(before[5], network.embedding.weight[5])


def test_the_digest_says_which_embedding_is_tied(b: Blocks) -> None:
    def network(first: str, second: str, tied: str) -> str:
        nodes: Nodes = {
            first: (b.embedding(vocabulary=11, features=5), "x"),
            second: (b.embedding(vocabulary=11, features=5), "x"),
            "layer": (b.gru(hidden=5), first),
            "gate": (b.lstm(hidden=5), second),
            "sum": (b.add(), ("layer", "gate")),
            "head": (b.vocabulary_head(vocabulary=11), ("sum", tied)),
        }
        return Space(graph(["x"], nodes, "head"), inputs=["tokens"]).reference.digest

    assert network("one", "two", "one") == network("a", "z", "a") == network("z", "a", "z")
    assert network("one", "two", "one") != network("one", "two", "two")


def test_tied_weights_come_straight_from_one_block(b: Blocks, registry: Registry) -> None:
    words = {name: (b.embedding(vocabulary=11, features=5), "x") for name in ("one", "two")}
    nodes: Nodes = {**words, "both": (b.add(), ("one", "two")), "layer": (b.gru(), "both")}
    nodes["head"] = (b.vocabulary_head(vocabulary=11), ("layer", "both"))
    with pytest.raises(CandidateError, match=r"head: block vocabulary_head.* must come straight from one block"):
        blueprint(Space(graph(["x"], nodes, "head")).reference, LANGUAGE, registry)
    nodes["head"] = (b.vocabulary_head(vocabulary=11), ("layer", "layer"))
    with pytest.raises(CandidateError, match=r"head: block vocabulary_head.*has no attribute 'weight'"):
        blueprint(Space(graph(["x"], nodes, "head")).reference, LANGUAGE, registry)


def test_whether_to_tie_can_be_a_decision(b: Blocks, registry: Registry) -> None:
    wires = choice("tied", yes=("layer", "embedding"), no=("layer",))
    nodes: Nodes = {
        "embedding": (b.embedding(vocabulary=11, features=5), "x"),
        "layer": (b.gru(hidden=5), "embedding"),
        "head": (b.vocabulary_head(vocabulary=11), wires),
    }
    space = Space(graph(["x"], nodes, "head"), inputs=["tokens"])
    tied, own = (blueprint(space.architecture({"tied": said}), LANGUAGE, registry) for said in ("yes", "no"))
    assert own.costs.params - tied.costs.params == 11 * 5
    assert "tied_to" not in own.source


def exportable(made: Blueprint, x: Tensor) -> Exportable:
    return Exportable(made.architecture, made, made.build().eval(), (x,))


def test_cells_and_ties_are_exported(b: Blocks, registry: Registry, tmp_path: Path) -> None:
    cell = lstm_cell(b)
    nodes: Nodes = {
        "embedding": (b.embedding(vocabulary=11, features=5), "x"),
        "rnn": (b.recurrence(cell=cell, hidden=6, states=2), "embedding"),
        "last": (b.recurrence(cell=cell, hidden=5, states=2), "rnn"),
        "head": (b.vocabulary_head(vocabulary=11), ("last", "embedding")),
    }
    made = blueprint(Space(graph(["x"], nodes, "head"), inputs=["tokens"]).reference, LANGUAGE, registry)
    export(exportable(made, torch.randint(0, 11, (3, 6))), tmp_path / "best")
    said = json.loads((tmp_path / "best" / "architecture.json").read_text())
    assert said["verified"]["max_difference"] < 1e-6
    back = Architecture.from_dict(said)
    assert back.digest == made.architecture.digest
    assert blueprint(back, LANGUAGE, registry).source == made.source


def test_cells_with_choices_are_sampled_and_tied_between_layers(b: Blocks, registry: Registry) -> None:
    nodes: Nodes = {
        "a": (b.cell_linear(), ("x", "h0")),
        "act": (choice("act", tanh=b.tanh(), sigmoid=b.sigmoid(), relu=b.leaky_relu()), "a"),
        "out": (b.pack(), choice("state", ("a",), ("act",))),
    }
    cell = graph(["x", "h0"], nodes, "out")
    layers = {f"layer{i}": b.recurrence(cell=cell, hidden=4 + i) for i in range(2)}
    space = Space(chain(**layers, last=b.last_step(), head=b.linear(features=3)), inputs=["sequence"])
    assert space.size == 6
    rng = random.Random(0)
    samples = [space.sample(rng) for _ in range(30)]
    assert len({made.digest for made in samples}) == 3 + 1  # the activation is dead where its input is the state
    for made in samples:
        cells = [dict(node.op.params)["cell"] for node in made.graph.nodes[:2]]  # type: ignore[union-attr]
        assert cells[0] == cells[1]
        assert Architecture.from_json(made.to_json()) == made
        assert blueprint(made, TASK, registry).build()(torch.randn(1, 7, 5)).shape == (1, 3)
