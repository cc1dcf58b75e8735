"""The convolutional spaces: sizes, published networks as points of them, and the networks that user documents print."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nas.errors import CandidateError, SpaceError
from nas.model import Blueprint, Exportable, blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.digest import digest
from nas.space.flat import flatten
from nas.space.graph import Block, Graph, Node, Scalar
from nas.space.ports import Port, TaskInfo
from nas_plugins.pytorch.export import export

registry = create_manager().registry
CIFAR10 = TaskInfo("cifar10", (Port("image", (3, 32, 32)),), 10)
IMAGENET = TaskInfo("imagenet", (Port("image", (3, 224, 224)),), 1000)
DIGITS = TaskInfo("digits", (Port("image", (1, 8, 8)),), 10)
PHOTOS = TaskInfo("photos", (Port("image", (3, 64, 64)),), 5)
AUDIO = TaskInfo("audio", (Port("sequence", (400, 1)),), 10)


def made(spec: str, task: TaskInfo, decisions: Mapping[str, Scalar]) -> Blueprint:
    space = build_space(registry, spec, task)
    return blueprint(space.architecture(decisions, fill=True), task, registry)


def batch(task: TaskInfo, examples: int = 6) -> Tensor:
    return torch.randn(examples, *task.input.shape, generator=torch.Generator().manual_seed(0))


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


def computes_the_same(network: Blueprint, hand: nn.Module) -> None:
    """With equal weights, in their order, the compiled network computes what the hand-written one does."""
    module = network.build().eval()
    state = dict(zip(hand.state_dict(), module.state_dict().values(), strict=True))
    hand.load_state_dict(state)
    x = batch(network.task)
    torch.testing.assert_close(module(x), hand.eval()(x))


@pytest.mark.parametrize(
    ("spec", "task", "size"),
    [
        ("nas_bench_201", CIFAR10, 5**6),
        ("nas_bench_macro", CIFAR10, 3**8),
        ("darts", CIFAR10, (1 * 3 * 6 * 10 * 7**8) ** 2),
        ("mobilenet", IMAGENET, (2 * (9**2 + 9**3 + 9**4)) ** 5),
        ("mobilenet:gates=false", IMAGENET, (9**2 + 9**3 + 9**4) ** 5),
        ("resnet", CIFAR10, 2 * 5**4 * 3**4),
        ("plain_cnn", DIGITS, 19_159_980),
        ("conv1d", AUDIO, 36_279_684),
        ("nas_bench_101", CIFAR10, 17_679_364),
    ],
)
def test_size_is_that_of_paper_and_docstring(spec: str, task: TaskInfo, size: int) -> None:
    entry = registry.get("space", spec.partition(":")[0])
    module = __import__(entry.load().__module__, fromlist=["__doc__"])
    assert build_space(registry, spec, task).size == size
    words = " ".join((module.__doc__ or "").split())
    assert ":" in spec or f"{size:,}" in words


@pytest.mark.parametrize("spec", ["nas_bench_101", "nas_bench_201", "darts", "mobilenet", "resnet", "plain_cnn"])
def test_image_spaces_refuse_sequences_and_the_other_way_round(spec: str) -> None:
    with pytest.raises(SpaceError):
        build_space(registry, spec, AUDIO)
    with pytest.raises(SpaceError, match="takes sequence"):
        build_space(registry, "conv1d", CIFAR10)


# ---- published networks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "depths", "params"),
    [
        ("basic", (2, 2, 2, 2), 11_689_512),
        ("basic", (3, 4, 6, 3), 21_797_672),
        ("bottleneck", (3, 4, 6, 3), 25_557_032),
    ],
)
def test_resnets_of_imagenet(block: str, depths: tuple[int, ...], params: int) -> None:
    """ResNet-18, -34 and -50 with the parameters of their usual implementations (torchvision)."""
    decisions: dict[str, Scalar] = {"block": block}
    for i, depth in enumerate(depths, start=1):
        decisions |= {f"stage{i}/depth": depth, f"stage{i}/width_{block}": "full"}
    network = made("resnet", IMAGENET, decisions)
    assert network.costs.params == params
    assert network.shapes["network/stage4/first"].shape[1:] == (7, 7)


DARTS_V2 = {
    "normal": "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 "
    "skip_connect:0 dil_conv_3x3:2",
    "reduce": "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:1 max_pool_3x3:0 skip_connect:2 "
    "skip_connect:2 max_pool_3x3:1",
}
"""The best cells of the paper, second order: operation and source of every edge, two edges a node."""


def genotype(cells: Mapping[str, str]) -> dict[str, Scalar]:
    decisions: dict[str, Scalar] = {}
    for kind, text in cells.items():
        edges = [(int(edge[-1]), edge[:-2]) for edge in text.split()]
        for t in range(2, 6):
            pair = sorted(edges[2 * t - 4 : 2 * t - 2])
            if t > 2:
                decisions[f"{kind}/node{t}"] = "+".join(str(source) for source, _ in pair)
            decisions |= {f"{kind}/edge{source}{t}": op for source, op in pair}
    return decisions


def test_darts_v2_has_the_published_parameters() -> None:
    network = made("darts:channels=36,cells=20", CIFAR10, genotype(DARTS_V2))
    assert network.costs.params == 3_349_342  # the paper rounds to 3.3 million
    sides = [network.shapes[f"cell{i}/nodes/concat"].shape[1] for i in range(20)]
    assert sides == [32] * 6 + [16] * 7 + [8] * 7


def test_darts_v2_trains_and_exports(tmp_path: Path) -> None:
    trains_and_exports(made("darts:channels=4,cells=4", CIFAR10, genotype(DARTS_V2)), tmp_path)


def test_nodes_of_darts_take_two_different_values() -> None:
    space = build_space(registry, "darts:channels=4,cells=3", DIGITS)
    rng = random.Random(0)
    for _ in range(20):
        decisions = space.sample(rng).decisions
        for kind, t in product(("normal", "reduce"), range(2, 6)):
            first, second = str(decisions.get(f"{kind}/node{t}", "0+1")).split("+")
            assert int(first) < int(second) < t
            edges = [label for label in decisions if label.startswith(f"{kind}/edge") and label.endswith(str(t))]
            assert sorted(edges) == [f"{kind}/edge{first}{t}", f"{kind}/edge{second}{t}"]


INCEPTION = {
    "degrees": "1-1-1-1-1>4",
    **{f"v{i}/inputs1": f"x{i}" for i in (1, 2, 3, 5)},
    "v4/inputs1": "v3",
    **{f"v{i}/op": "conv3x3" for i in (2, 3, 4)},
    "v1/op": "conv1x1",
    "v5/op": "maxpool3x3",
    "output/inputs4of5": "v1+v2+v4+v5",
}
"""The cell that NAS-Bench-101's own documentation shows."""


def test_documented_cell_of_nas_bench_101_has_the_published_parameters() -> None:
    assert made("nas_bench_101", CIFAR10, INCEPTION).costs.params == 2_694_282


def cell_of(architecture: Architecture) -> Graph:
    """The first cell, outputs added, so that cells which differ in the order of their vertices are one."""
    network = architecture.graph.nodes[0].op
    assert isinstance(network, Graph)
    stage = next(node.op for node in network.nodes if node.name == "stage1")
    assert isinstance(stage, Graph)
    cell = stage.nodes[0].op
    assert isinstance(cell, Graph)
    nodes = [
        Node(n.name, registry.blocks.add(), n.inputs) if isinstance(n.op, Block) and n.op.name == "concat" else n
        for n in cell.nodes
    ]
    return Graph(cell.inputs, tuple(nodes), cell.output)


def widthless(cell: Graph) -> Graph:
    """The cell with projections that do not tell their width, which rests on how many vertices go out."""
    project = registry.blocks.conv(kernel=1, activation="silu")
    nodes = [Node(n.name, project, n.inputs) if n.name.startswith(("x", "skip")) else n for n in cell.nodes]
    return Graph(cell.inputs, tuple(nodes), cell.output)


def test_nas_bench_101_has_every_published_cell_of_up_to_5_vertices() -> None:
    """The paper's table holds 1, 6, 84 and 2,441 different cells of 2, 3, 4 and 5 vertices."""
    space = build_space(registry, "nas_bench_101:vertices=5,cells=1", CIFAR10)
    assert len({digest(widthless(cell_of(a))) for a in space.enumerate()}) == 1 + 6 + 84 + 2_441


def test_cells_of_nas_bench_101_have_at_most_9_edges_and_no_more_than_they_use() -> None:
    space = build_space(registry, "nas_bench_101:channels=8,cells=1", CIFAR10)
    rng = random.Random(0)
    unused = 0
    for _ in range(200):
        architecture = space.sample(rng)
        cell = cell_of(architecture)
        sums = {n.name: n.inputs for n in cell.nodes if n.name.startswith("sum") or n.name in ("joined", "skip")}
        assert sum(len(inputs) for inputs in sums.values()) <= 9
        said = {term.path for term in flatten(architecture.graph).terms}
        vertices = [n.name for n in cell.nodes if n.name.startswith("v")]
        unused += any(f"network/stage1/cell0/{name}" not in said for name in vertices)
        assert Architecture.from_json(architecture.to_json()).digest == architecture.digest
    assert 20 < unused < 180


def test_nas_bench_macro_has_as_many_networks_as_published() -> None:
    """Layers that are nothing drop out: 6,561 codes are 9 * 21 * 21 networks."""
    space = build_space(registry, "nas_bench_macro", CIFAR10)
    assert len({architecture.digest for architecture in space.enumerate()}) == 9 * 21 * 21 == 3_969


def test_smallest_network_of_nas_bench_macro_by_hand() -> None:
    network = made("nas_bench_macro", CIFAR10, {f"layer{i}": "identity" for i in range(8)})
    widths = [32, 64, 128, 256, 1280]
    convolutions = 3 * 9 * 32 + sum(a * b for a, b in pairwise(widths))
    assert network.costs.params == convolutions + 2 * sum(widths) + 1280 * 10 + 10


def test_mobilenet_halves_large_images_five_times_and_small_ones_less() -> None:
    for task, size in ((IMAGENET, 7), (PHOTOS, 4), (CIFAR10, 4), (DIGITS, 4)):
        space = build_space(registry, "mobilenet", task)
        network = blueprint(space.reference, task, registry)
        assert network.shapes["last"].shape == (960, size, size), task.name


def test_stage_of_mobilenet_has_one_gate_and_layers_of_their_own() -> None:
    space = build_space(registry, "mobilenet", CIFAR10)
    decisions: dict[str, Scalar] = {"stage2/gate": "gated", "stage2/depth": 3, "stage2/more/layer1/kernel": 7}
    network = blueprint(space.architecture(decisions, fill=True), CIFAR10, registry)
    blocks = {t.path: dict(t.block.params) for t in flatten(network.architecture.graph).terms}
    stage = {path: params for path, params in blocks.items() if path.startswith("stage2")}
    assert [params["kernel"] for params in stage.values()] == [3, 3, 7]
    assert {params["squeeze"] for params in stage.values()} == {0.25}
    assert {blocks[path]["squeeze"] for path in blocks if path.startswith("stage1")} == {0.0}


# ---- networks that user documents print ---------------------------------------------------------------------------


def test_lenet_two_convolutions_and_linear_layers(tmp_path: Path) -> None:
    """Conv 6, pool, conv 16, pool, 120, 84, 10: the first network of PyTorch's tutorials."""
    decisions: dict[str, Scalar] = {"convolutions": 2, "hidden": 2}
    decisions |= {f"conv/layer{i}/channels": c for i, c in enumerate((6, 16))}
    decisions |= {f"conv/layer{i}/kernel": 5 for i in range(2)} | {f"conv/layer{i}/pool": "max" for i in range(2)}
    decisions |= {f"dense/layer{i}/features": f for i, f in enumerate((120, 84))}
    network = made("plain_cnn:padding=valid", CIFAR10, decisions)
    convs = [nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    dense = [nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    assert network.costs.params == 62_006
    computes_the_same(network, nn.Sequential(*convs, nn.Flatten(), *dense))
    trains_and_exports(network, tmp_path)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_two_convolutions_and_two_linear_layers(padding: str, tmp_path: Path) -> None:
    mnist = TaskInfo("mnist", (Port("image", (1, 28, 28)),), 10)
    decisions = {"convolutions": 2, "hidden": 1, "conv/layer0/channels": 32, "conv/layer1/channels": 64}
    decisions |= {"conv/layer0/pool": "none", "conv/layer1/pool": "max", "dense/layer0/features": 128}
    decisions |= {"dense/layer0/dropout": "half"}
    network = made(f"plain_cnn:padding={padding}", mnist, decisions)
    around = 1 if padding == "same" else 0
    side = 14 if padding == "same" else 12
    convs = [nn.Conv2d(1, 32, 3, padding=around), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=around), nn.ReLU()]
    dense = [nn.Linear(64 * side * side, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]
    computes_the_same(network, nn.Sequential(*convs, nn.MaxPool2d(2), nn.Flatten(), *dense))
    trains_and_exports(network, tmp_path)


def test_conv2d_32_64_with_pooling_on_photos(tmp_path: Path) -> None:
    """Keras' Conv2D(32, 3), MaxPooling2D, Conv2D(64, 3), MaxPooling2D, Flatten, Dense(128), Dense(5) on 64x64x3."""
    space = build_space(registry, "plain_cnn:padding=valid", PHOTOS)
    network = blueprint(space.reference, PHOTOS, registry)
    assert network.costs.params == 896 + 18_496 + 14 * 14 * 64 * 128 + 128 + 128 * 5 + 5
    convs = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    dense = [nn.Linear(14 * 14 * 64, 128), nn.ReLU(), nn.Linear(128, 5)]
    computes_the_same(network, nn.Sequential(*convs, nn.Flatten(), *dense))
    trains_and_exports(network, tmp_path)


class Turned(nn.Module):
    """Swaps steps and features, which PyTorch's convolutions take the other way round."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


@pytest.mark.parametrize("read", ["all", "mean"])
def test_conv1d_32_64_with_pooling_on_audio(read: str, tmp_path: Path) -> None:
    """Conv1D(32, 3), pool, Conv1D(64, 3), pool, flatten or mean over time, Dense(128), Dense(10)."""
    space = build_space(registry, "conv1d:padding=valid", AUDIO)
    network = blueprint(space.architecture({**space.reference.decisions, "read": read}), AUDIO, registry)
    convs = [nn.Conv1d(1, 32, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(32, 64, 3), nn.ReLU(), nn.MaxPool1d(2)]
    reader = [Turned(), nn.Flatten()] if read == "all" else [nn.AdaptiveAvgPool1d(1), nn.Flatten()]
    dense = [nn.Linear(98 * 64 if read == "all" else 64, 128), nn.ReLU(), nn.Linear(128, 10)]
    computes_the_same(network, nn.Sequential(Turned(), *convs, *reader, *dense))
    trains_and_exports(network, tmp_path)


def test_waveforms_get_a_stride() -> None:
    wave = TaskInfo("waveform", (Port("sequence", (8000, 1)),), 10)
    network = made("conv1d:stride=4,pool=4", wave, {"depth": 2, "first/pool": "max", "more/layer0/pool": "avg"})
    assert network.shapes["first/conv"].shape == (2000, 16)
    assert network.shapes["more/layer0/pool"].shape == (125, 16)


@pytest.mark.parametrize("spec", ["resnet:channels=8", "mobilenet:width=0.25", "nas_bench_macro:channels=4"])
def test_sampled_networks_train_and_export(spec: str, tmp_path: Path) -> None:
    space = build_space(registry, spec, DIGITS)
    rng = random.Random(3)
    while True:
        try:
            network = blueprint(space.sample(rng), DIGITS, registry)
            break
        except CandidateError:
            continue
    trains_and_exports(network, tmp_path)
