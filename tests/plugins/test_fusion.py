"""Blocks in which inputs meet compute what their papers say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.errors import CandidateError
from nas.model import blueprint
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.graph import Block, graph
from nas.space.ports import Port, TaskInfo
from nas_plugins.fusion import blocks

SHAPES = ((7, 12), (5,), (3, 8))
WIDTHS = (12, 5, 8)
B, F = 2, 6
registry = create_manager().registry
b = registry.blocks


@pytest.fixture
def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    return [torch.randn(B, *shape, generator=generator) for shape in SHAPES]


def vectors(inputs: list[Tensor]) -> list[Tensor]:
    return [x.mean(dim=1) if x.dim() == 3 else x for x in inputs]


def test_concat_puts_means_side_by_side(inputs: list[Tensor]) -> None:
    out = blocks.ConcatFusion(in_shapes=SHAPES)(*inputs)
    assert out.shape == (B, 25)
    torch.testing.assert_close(out[:, :12], inputs[0].mean(dim=1))
    assert torch.equal(out[:, 12:17], inputs[1])


def test_sum_adds_a_map_of_each(inputs: list[Tensor]) -> None:
    module = blocks.SumFusion(in_shapes=SHAPES, features=F)
    wanted = sum(linear(x) for linear, x in zip(module.maps, vectors(inputs), strict=True))
    torch.testing.assert_close(module(*inputs), wanted)


def test_gates_see_all_inputs_and_weigh_each(inputs: list[Tensor]) -> None:
    module = blocks.GatedFusion(in_shapes=SHAPES, features=F)
    everything = torch.cat(vectors(inputs), dim=-1)
    wanted = torch.zeros(B, F)
    for i, (linear, x) in enumerate(zip(module.maps, vectors(inputs), strict=True)):
        own = slice(i * F, (i + 1) * F)
        gate = functional.linear(everything, module.gates.weight[own], module.gates.bias[own]).sigmoid()
        wanted = wanted + gate * linear(x).tanh()
    torch.testing.assert_close(module(*inputs), wanted)


def test_cross_fusion_attends_to_all_the_others(inputs: list[Tensor]) -> None:
    module = blocks.CrossFusion(in_shapes=SHAPES, features=F, heads=2)
    mapped = [m(x if x.dim() == 3 else x[:, None]) for m, x in zip(module.maps, inputs, strict=True)]
    asked = [qkv(norm(x)).chunk(3, dim=-1) for qkv, norm, x in zip(module.qkv, module.norms, mapped, strict=True)]
    q = asked[1][0]
    k, v = (torch.cat([asked[0][j], asked[2][j]], dim=1) for j in (1, 2))
    outs = []
    for own in (slice(0, 3), slice(3, 6)):
        scores = q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(3)
        outs.append(scores.softmax(dim=-1) @ v[..., own])
    out = module(*inputs)
    assert out.shape == (B, 7 + 1 + 3, F)
    torch.testing.assert_close(out[:, 7:8], mapped[1] + module.out[1](torch.cat(outs, dim=-1)))


@pytest.mark.parametrize("changed", range(3))
def test_every_position_of_cross_fusion_sees_the_other_inputs(inputs: list[Tensor], changed: int) -> None:
    module = blocks.CrossFusion(in_shapes=SHAPES, features=F, heads=2)
    other = [x + torch.randn_like(x) if i == changed else x for i, x in enumerate(inputs)]
    assert not torch.isclose(module(*inputs), module(*other)).all(dim=-1).any()


@pytest.mark.parametrize("name", ["concat_fusion", "sum_fusion", "gated_fusion", "cross_fusion"])
@pytest.mark.parametrize("coming", [("sequence", "vector"), ("vector", "sequence", "sequence"), ("vector", "vector")])
def test_kinds_may_be_mixed(name: str, coming: tuple[str, ...]) -> None:
    shapes = {"sequence": (7, 12), "vector": (5,)}
    task = TaskInfo("t", tuple(Port(kind, shapes[kind]) for kind in coming), 3)  # type: ignore[arg-type]
    names = tuple(f"in{i}" for i in range(len(coming)))
    nodes: dict[str, tuple[Block, object]] = {"join": (b[name](), names), "head": (b.sequence_head(outputs=3), "join")}
    plan = blueprint(Architecture(graph(names, nodes, "head")), task, registry)
    out = plan.build()(*(torch.randn(B, *port.shape) for port in task.inputs))
    assert out.shape == (B, 3)


@pytest.mark.parametrize(
    ("block", "names", "said"),
    [
        (b.gated_fusion(), ("x",), "expected at least two inputs to join, got 1"),
        (b.concat_fusion(), ("x",), "expected at least two inputs to join, got 1"),
        (b.cross_fusion(features=10, heads=4), ("x", "y"), r"heads that divide 10 features \(1, 2, 5, 10\), got 4"),
    ],
)
def test_what_cannot_be_joined_is_refused(block: Block, names: tuple[str, ...], said: str) -> None:
    task = TaskInfo("t", tuple(Port("sequence", (7, 12)) for _ in names), 3)
    nodes: dict[str, tuple[Block, object]] = {"join": (block, names), "head": (b.sequence_head(outputs=3), "join")}
    with pytest.raises(CandidateError, match="join: block .*" + said):
        blueprint(Architecture(graph(names, nodes, "head")), task, registry)
