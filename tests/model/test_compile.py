from __future__ import annotations

import ast
import inspect
import linecache
import random
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.errors import CandidateError, TaskError, UnknownNameError
from nas.model import Blueprint, Normalize, blueprint, count_flops, count_params
from nas.plugin.registry import Blocks, Registry
from nas.space.architecture import Architecture
from nas.space.graph import Choice, Graph, chain, choice, dense_cell, graph, repeat
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

Realise = Callable[[Graph], Architecture]
NB201 = Path(__file__).parents[3] / "shared/data/bench/nb201_cifar10.npz"


class ByHand(nn.Module):
    """What a person would write for the residual network of `test_compiled_network_equals_the_one_written_by_hand`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        return self.linear((stem + self.body(stem)).mean(dim=(2, 3)))


def residual(b: Blocks) -> Graph:
    return graph(
        ["x"],
        {
            "stem": (b.conv(channels=4), "x"),
            "body": (b.conv(), "stem"),
            "skip": (b.identity(), "stem"),
            "sum": (b.add(), ("body", "skip")),
            "head": (b.classifier(classes=3), "sum"),
        },
        "head",
    )


def test_compiled_network_equals_the_one_written_by_hand(
    b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    network = blueprint(realised(residual(b)), task, registry).build()
    hand = ByHand()
    hand.load_state_dict(dict(zip(hand.state_dict(), network.state_dict().values(), strict=True)))
    x = torch.randn(5, 2, 8, 8)
    for mode in (True, False):
        torch.testing.assert_close(network.train(mode)(x), hand.train(mode)(x))


def test_simplified_and_as_written_networks_compute_the_same(cells: Space, task: TaskInfo, registry: Registry) -> None:
    rng = random.Random(1)
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    compared = 0
    while compared < 12:
        architecture = cells.sample(rng)
        try:
            simple = blueprint(architecture, task, registry).build().double().eval()
        except CandidateError:
            continue
        written = blueprint(architecture, task, registry, simplify=False).build().double().eval()
        simple.load_state_dict({k: v for k, v in written.state_dict().items() if k in simple.state_dict()})
        torch.testing.assert_close(simple(x), written(x))
        compared += 1


def test_forward_is_straight_line_code(cells: Space, task: TaskInfo, registry: Registry) -> None:
    source = blueprint(cells.sample(random.Random(2)), task, registry).source
    (network,) = ast.parse(source).body
    assert isinstance(network, ast.ClassDef)
    forward = network.body[-1]
    assert isinstance(forward, ast.FunctionDef)
    documentation, *assignments, returned = forward.body
    assert isinstance(documentation, ast.Expr)
    assert isinstance(returned, ast.Return)
    assert {type(statement) for statement in assignments} == {ast.Assign}
    assert not [n for n in ast.walk(forward) if isinstance(n, (ast.For, ast.While, ast.If, ast.ListComp))]


def test_source_is_grouped_and_tells_shapes(b: Blocks, task: TaskInfo, registry: Registry, realised: Realise) -> None:
    cell = dense_cell(3, lambda i, j: b.conv(order="act_conv_norm"), join=b.add())
    net = chain(stem=b.conv(channels=4), stage1=repeat(cell, 2), head=b.classifier(classes=3))
    made = blueprint(realised(net), task, registry)
    assert made.source == (
        '''class Network(nn.Module):
    """image (C=2, H=8, W=8) -> vector (D=3)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(in_channels=2, channels=4)

        # stage1/cell0
        self.stage1_cell0_edge01 = Conv(in_channels=4, order="act_conv_norm")
        self.stage1_cell0_edge02 = Conv(in_channels=4, order="act_conv_norm")
        self.stage1_cell0_edge12 = Conv(in_channels=4, order="act_conv_norm")

        # stage1/cell1
        self.stage1_cell1_edge01 = Conv(in_channels=4, order="act_conv_norm")
        self.stage1_cell1_edge02 = Conv(in_channels=4, order="act_conv_norm")
        self.stage1_cell1_edge12 = Conv(in_channels=4, order="act_conv_norm")

        self.head = Classifier(in_channels=4, classes=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 2, 8, 8) -> (B, 3)."""
        stem = self.stem(x)  # (B, 4, 8, 8)

        # stage1/cell0
        edge01 = self.stage1_cell0_edge01(stem)  # (B, 4, 8, 8)
        edge02 = self.stage1_cell0_edge02(stem)  # (B, 4, 8, 8)
        edge12 = self.stage1_cell0_edge12(edge01)  # (B, 4, 8, 8)
        cell0_sum = edge02 + edge12  # (B, 4, 8, 8)

        # stage1/cell1
        edge01 = self.stage1_cell1_edge01(cell0_sum)  # (B, 4, 8, 8)
        edge02 = self.stage1_cell1_edge02(cell0_sum)  # (B, 4, 8, 8)
        edge12 = self.stage1_cell1_edge12(edge01)  # (B, 4, 8, 8)

        return self.head(edge02 + edge12)  # (B, 3)
'''
    )
    assert made.shapes["stage1/cell1/edge12"] == Port("image", (4, 8, 8))


def test_residual_stream_adds_one_term_a_block(
    b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    body = graph(["x"], {"conv": (b.conv(), "x"), "sum": (b.add(), ("x", "conv"))}, "sum")
    net = chain(stem=b.conv(channels=4), blocks=repeat(body, 8), head=b.classifier(classes=3))
    assert blueprint(realised(net), task, registry).source.count(" + ") == 8


def test_a_value_taken_twice_counts_twice(b: Blocks, task: TaskInfo, registry: Registry, realised: Realise) -> None:
    twice = graph(["x"], {"left": (b.identity(), "x"), "sum": (b.add(), ("x", "left"))}, "sum")
    net = chain(stem=b.conv(channels=4), twice=twice, head=b.classifier(classes=3))
    assert "self.head(stem + stem)" in blueprint(realised(net), task, registry).source


def two_towers(b: Blocks) -> Graph:
    return graph(
        ["left", "right"],
        {
            "a": (b.conv(channels=4), "left"),
            "c": (b.conv(channels=6), "right"),
            "both": (b.concat(), ("a", "c")),
            "head": (b.classifier(classes=3), "both"),
        },
        "head",
    )


def test_network_of_two_inputs(b: Blocks, registry: Registry, realised: Realise) -> None:
    task = TaskInfo("pair", (Port("image", (1, 8, 8)), Port("image", (3, 8, 8))), outputs=3)
    made = blueprint(realised(two_towers(b)), task, registry, normalize=Normalize((0.5,), (2.0,)))
    assert "def forward(self, left: torch.Tensor, right: torch.Tensor)" in made.source
    network = made.build()
    assert network(torch.randn(2, 1, 8, 8), torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_task_with_another_number_of_inputs_is_refused(
    b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    with pytest.raises(CandidateError, match=r"takes left, right, and task 'tiny' gives 1"):
        blueprint(realised(two_towers(b)), task, registry)


def test_zero_beside_a_live_input_keeps_its_shape(
    b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    nodes = {
        "stem": (b.conv(channels=4), "x"),
        "wide": (b.conv(channels=6), "x"),
        "none": (b.zero(), "wide"),
        "both": (b.concat(), ("none", "stem")),
        "head": (b.classifier(classes=3), "both"),
    }
    architecture = realised(graph(["x"], nodes, "head"))
    simple, written = (blueprint(architecture, task, registry, simplify=s) for s in (True, False))
    assert "self.both(stem.new_zeros(stem.shape[0], 6, 8, 8), stem)  # (B, 10, 8, 8)" in simple.source
    small, large = simple.build().eval(), written.build().eval()
    small.load_state_dict({k: v for k, v in large.state_dict().items() if k in small.state_dict()})
    x = torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(small(x), large(x))


def test_normalisation_is_the_first_line_and_takes_raw_pixels(
    b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    architecture = realised(residual(b))
    raw = blueprint(architecture, task, registry, normalize=Normalize((100.0, 50.0), (20.0, 10.0))).build().eval()
    plain = blueprint(architecture, task, registry).build().eval()
    plain.load_state_dict({k: v for k, v in raw.state_dict().items() if not k.startswith("input_")})
    pixels = torch.randint(0, 256, (3, 2, 8, 8), dtype=torch.uint8)
    scaled = (pixels - torch.tensor([100.0, 50.0]).view(2, 1, 1)) / torch.tensor([20.0, 10.0]).view(2, 1, 1)
    torch.testing.assert_close(raw(pixels), plain(scaled))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (Normalize((0.5,), (1.0, 1.0)), r"expected 2 means for image \(C=2, H=8, W=8\), got 1"),
        (Normalize((0.5, 0.5), (1.0, 0.0)), r"expected deviations above 0, got 0"),
    ],
)
def test_normalisation_that_does_not_fit_is_refused(
    numbers: Normalize, said: str, b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    with pytest.raises(TaskError, match=said):
        blueprint(realised(residual(b)), task, registry, normalize=numbers)


def test_colliding_and_illegal_names_are_told_apart(
    b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    inner = chain(**{"b_c": b.conv(channels=4), "3x3": b.conv()})
    net = chain(a=inner, a_b_c=b.conv(), forward=b.conv(), **{"class": b.conv()}, head=b.classifier(classes=3))
    network = blueprint(realised(net), task, registry).build()
    assert [name for name, _ in network.named_children()] == ["a_b_c", "a_3x3", "a_b_c_2", "forward_", "class_", "head"]
    assert network(torch.randn(2, 2, 8, 8)).shape == (2, 3)


def test_costs_are_those_of_the_whole_network(cells: Space, task: TaskInfo, registry: Registry) -> None:
    made = blueprint(cells.sample(random.Random(4)), task, registry)
    network = made.build_meta()
    assert all(p.is_meta for p in network.parameters())
    assert made.costs.params == count_params(network)
    assert made.costs.flops == count_flops(network.eval(), [torch.empty(1, 2, 8, 8, device="meta")])


def test_checking_a_candidate_leaves_the_random_state_alone(cells: Space, task: TaskInfo, registry: Registry) -> None:
    before = torch.get_rng_state()
    blueprint(cells.sample(random.Random(5)), task, registry).build_meta()
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_builds_the_same_weights(cells: Space, task: TaskInfo, registry: Registry) -> None:
    made = blueprint(cells.sample(random.Random(6)), task, registry)
    first, second = (torch.manual_seed(7) and made.build().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_checking_a_candidate_of_known_blocks_takes_under_20_ms(
    cells: Space, task: TaskInfo, registry: Registry
) -> None:
    rng = random.Random(8)
    seconds = []
    for _ in range(40):
        architecture = cells.sample(rng)
        start = time.perf_counter()
        blueprint(architecture, task, registry, simplify=False)
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 0.02


def test_traceback_shows_the_generated_line(cells: Space, task: TaskInfo, registry: Registry) -> None:
    network = blueprint(cells.sample(random.Random(9)), task, registry).build()
    assert inspect.getsource(type(network).forward).lstrip().startswith("def forward(self, x: torch.Tensor)")
    with pytest.raises(RuntimeError) as caught:
        network(torch.randn(2, 5, 8, 8))
    assert "stem = self.stem(x)" in "".join(traceback.format_tb(caught.tb))


def test_generated_lines_go_when_the_network_goes(cells: Space, task: TaskInfo, registry: Registry) -> None:
    import gc

    gc.collect()
    before = len(linecache.cache)
    for _ in range(5):
        blueprint(cells.sample(random.Random(10)), task, registry).build()
    gc.collect()
    assert len(linecache.cache) <= before


def test_constant_network_is_refused_unless_taken_as_written(cells: Space, task: TaskInfo, registry: Registry) -> None:
    none = cells.architecture({d.label: "none" for d in cells.decisions})
    with pytest.raises(CandidateError, match="computes a constant"):
        blueprint(none, task, registry)
    assert blueprint(none, task, registry, simplify=False).build()(torch.randn(2, 2, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("simplify", [True, False])
def test_sum_of_different_shapes_is_refused(
    simplify: bool, b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    fork = graph(
        ["x"],
        {"wide": (b.conv(channels=8), "x"), "thin": (b.conv(channels=4), "x"), "sum": (b.add(), ("wide", "thin"))},
        "sum",
    )
    net = chain(fork=fork, head=b.classifier(classes=3))
    with pytest.raises(CandidateError, match=r"adds values of one shape, got image \(C=8, H=8, W=8\)") as caught:
        blueprint(realised(net), task, registry, simplify=simplify)
    assert "image (C=4, H=8, W=8)" in str(caught.value)
    assert "fork/" in str(caught.value)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (lambda b: b.classifier(classes=7), r"task 'tiny' needs a vector \(D=3\) from the network, got vector \(D=7\)"),
        (lambda b: b.conv(), r"needs a vector \(D=3\) from the network, got image"),
        (
            lambda b: b.conv(kernel=4),
            r"^head: block conv\(kernel=4\) cannot take image \(C=4, H=8, W=8\): expected an odd kernel.*got 4",
        ),
        (lambda b: b.conv(groups=3, channels=3), r"^head: block conv\(.*expected groups that divide 4 and 3 channels"),
    ],
)
def test_block_that_does_not_fit_is_refused_with_its_path(
    head: Callable[[Blocks], object], said: str, b: Blocks, task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    with pytest.raises(CandidateError, match=said):
        blueprint(realised(chain(stem=b.conv(channels=4), head=head(b))), task, registry)  # type: ignore[arg-type]


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class MixesBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1).unsqueeze(1)


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Asks(nn.Module):
    def __init__(self, *, in_features: int, size: int, beta: int = 1) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("cls", "declared", "said"),
    [
        (Pair, {}, r"odd: block odd cannot take image .*: expected one tensor from its forward, got a tuple"),
        (MixesBatch, {}, r"expected image \(B, C, H, W\) from its forward, got \(8, 1, 8, 8\).* for B = 2"),
        (Flat, {"output": "image"}, r"expected image \(B, C, H, W\) from its forward, got \(2, 256\)"),
        (Flat, {"parameters": {"size": 3}}, r"class Flat has no parameter 'size' to give; it takes none"),
        (Asks, {"parameters": {"size": 3}}, r"asks for 'in_features', which only sequence or vector has"),
    ],
)
def test_block_that_breaks_its_declaration_is_refused(
    cls: type[nn.Module],
    declared: dict[str, object],
    said: str,
    register: Callable[..., Blocks],
    task: TaskInfo,
    registry: Registry,
    realised: Realise,
) -> None:
    b = register("odd", cls, **declared)
    net = chain(stem=b.conv(channels=4), odd=b.odd(), head=b.classifier(classes=3))
    with pytest.raises(CandidateError, match=said):
        blueprint(realised(net), task, registry)


def test_argument_that_nobody_gives_is_named(
    register: Callable[..., Blocks], registry: Registry, realised: Realise
) -> None:
    b = register("asks", Asks)
    vector = TaskInfo("vector", (Port("vector", (5,)),), outputs=3)
    with pytest.raises(CandidateError, match="asks for 'size', which the block does not declare"):
        blueprint(realised(chain(asks=b.asks())), vector, registry)


def test_a_class_of_torch_is_a_block(
    register: Callable[..., Blocks], task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    b = register("shuffle", "torch.nn:ChannelShuffle", parameters={"groups": 2})
    net = chain(stem=b.conv(channels=4), shuffle=b.shuffle(), head=b.classifier(classes=3))
    made = blueprint(realised(net), task, registry)
    assert "self.shuffle = ChannelShuffle(groups=2)" in made.source
    assert made.build()(torch.randn(2, 2, 8, 8)).shape == (2, 3)


class Fills(nn.Module):
    def __init__(
        self, *, in_length: int, in_features: int, in_shape: tuple[int, ...], in_shapes: tuple[tuple[int, ...], ...]
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_length * in_features, sum(in_shape) + len(in_shapes))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.linear(x.flatten(1)) + 0 * y.sum()
        return out


def test_shapes_that_a_constructor_asks_for_are_filled(
    register: Callable[..., Blocks], registry: Registry, realised: Realise
) -> None:
    b = register("fills", Fills, inputs=("sequence", "tokens"), output="vector")
    task = TaskInfo("text", (Port("sequence", (4, 5)), Port("tokens", (7,))), outputs=11)
    architecture = realised(graph(["x", "y"], {"all": (b.fills(), ("x", "y"))}, "all"))
    made = blueprint(architecture, task, registry)
    assert "Fills(in_length=4, in_features=5, in_shape=(4, 5), in_shapes=((4, 5), (7,)))" in made.source
    assert made.build()(torch.randn(2, 4, 5), torch.zeros(2, 7, dtype=torch.int64)).shape == (2, 11)


def test_two_classes_of_one_name_get_two(
    register: Callable[..., Blocks], task: TaskInfo, registry: Registry, realised: Realise
) -> None:
    class Conv(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    b = register("double", Conv)
    made = blueprint(
        realised(chain(stem=b.conv(channels=4), d=b.double(), head=b.classifier(classes=3))), task, registry
    )
    assert made.classes["Conv_2"] is Conv
    assert "self.d = Conv_2()" in made.source
    made.build()


def test_block_that_is_not_registered_is_answered_with_the_nearest(
    register: Callable[..., Blocks], task: TaskInfo, registry: Registry, realised: Realise, cells: Space
) -> None:
    text = cells.sample(random.Random(11)).to_json().replace('"reduction"', '"reductoin"')
    with pytest.raises(UnknownNameError, match="did you mean 'reduction'"):
        blueprint(Architecture.from_json(text), task, registry)


def test_published_parameter_counts_of_nas_bench_201() -> None:
    if not NB201.exists():
        pytest.skip(f"the published table {NB201} is not there")
    from nas.plugin.manager import create_manager

    registry = create_manager().registry
    table = np.load(NB201, allow_pickle=False)
    space, task = nas_bench_201(registry.blocks)
    edges = ("edge01", "edge02", "edge12", "edge03", "edge13", "edge23")
    for row in range(0, 15_625, 625):
        options = [str(table["op_names"][number]) for number in table["ops"][row]]
        architecture = space.architecture(dict(zip(edges, options, strict=True)))
        made: Blueprint = blueprint(architecture, task, registry, simplify=False)
        assert made.costs.params == round(float(table["params_M_c10"][row]) * 1e6), table["arch_str"][row]


def nas_bench_201(b: Blocks) -> tuple[Space, TaskInfo]:
    def edge(i: int, j: int) -> Choice:
        return choice(
            f"edge{i}{j}",
            none=b.zero(),
            skip_connect=b.identity(),
            nor_conv_1x1=b.conv(kernel=1, order="act_conv_norm"),
            nor_conv_3x3=b.conv(order="act_conv_norm"),
            avg_pool_3x3=b.avg_pool(),
        )

    cell = repeat(dense_cell(4, edge, join=b.add()), 5)
    parts = {"stage1": cell, "down1": b.reduction(), "stage2": cell, "down2": b.reduction(), "stage3": cell}
    stem = b.conv(channels=16, order="conv_norm")
    space = Space(chain(stem=stem, **parts, head=b.classifier(classes=10, norm_act=True)))
    return space, TaskInfo("cifar10", (Port("image", (3, 32, 32)),), outputs=10)
