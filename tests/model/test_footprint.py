"""What training keeps for one example: found block by block, and the same as of the network in one piece."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

import nas
from nas.errors import SpaceError
from nas.model import Blueprint, blueprint
from nas.model.footprint import LOSS, Adding, Footprint, Keeping, differentiable
from nas.model.meta import Counting
from nas.model.network import Known, Settling
from nas.model.settle import DROPOUTS, meta_inputs
from nas.plugin.build import build_space
from nas.plugin.registry import Blocks, Registry
from nas.space.architecture import Architecture
from nas.space.flat import flatten
from nas.space.graph import Graph
from nas.space.ports import Port, TaskInfo
from nas.testing.case import TASKS

REGISTRY = nas.create_manager().registry
VECTOR = Port("vector", (10,))


def footprint_of(module: nn.Module, *inputs: Tensor) -> Footprint:
    """Of a module in one piece."""
    for part in module.eval().modules():
        part.train(isinstance(part, DROPOUTS))
    given, keeping = differentiable(inputs), Keeping(list(module.modules()))
    with keeping.watching(), Counting() as counting:
        output = module(*given)
    return keeping.footprint(given, output, counting)


def as_one_block(plan: Blueprint) -> Footprint:
    """Of a network from those of its blocks."""
    flat = flatten(plan.architecture.graph)
    work = Settling(Known(REGISTRY, simplify=True), plan.task.inputs)
    work.plan(flat, plan.architecture.graph)
    return work.memory.footprint(flat.output)


class Call(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.empty(10, 10, device="meta"))

    def forward(self, *x: Tensor) -> Tensor:
        return self.function(*x)


def vectors(count: int = 1, size: int = 10) -> list[Tensor]:
    return [torch.empty(2, size, device="meta") for _ in range(count)]


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (F.relu, Footprint(0, (False,), True, None, 40)),
        (F.silu, Footprint(0, (True,), False, None, 40)),
        (lambda x: F.silu(F.relu(x)), Footprint(40, (False,), False, None, 80)),
        (lambda x: F.silu(F.relu(x).view(2, 5, 2)).flatten(1), Footprint(40, (False,), False, None, 80)),
        (lambda x: x.view(2, 10), Footprint(0, (False,), False, 0, 0)),
        (lambda x: x.relu_(), Footprint(0, (True,), False, 0, 0)),
        (lambda x: F.dropout(x, 0.5), Footprint(40, (False,), False, None, 80)),
        (lambda x: F.softmax(x + 1, -1) + 1, Footprint(40, (False,), False, None, 80)),
    ],
    ids=[
        "what it gives",
        "what it takes",
        "between",
        "between, viewed",
        "a view",
        "in place",
        "a mask",
        "none of sums",
    ],
)
def test_what_is_kept_is_what_autograd_saves(function: Callable[[Tensor], Tensor], kept: Footprint) -> None:
    assert footprint_of(Call(function), *vectors()) == kept


def test_weights_are_not_kept_but_what_multiplies_them_is() -> None:
    with torch.device("meta"):
        found = footprint_of(nn.Linear(10, 10, bias=False), *vectors())
    assert found == Footprint(0, (True,), False, None, 40)
    assert footprint_of(Call(torch.mul), *vectors(2)) == Footprint(0, (True, True), False, None, 40)


def test_attention_keeps_no_weights_of_all_pairs() -> None:
    long = torch.empty(2, 4, 100, 8, device="meta")
    found = footprint_of(Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v)), long, long, long)
    one = long.nbytes // 2
    assert found.inside + sum(found.inputs) * one <= 4 * one
    assert found.working <= 4 * one < 4 * 100 * 100 * 4
    masked = footprint_of(
        Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(100, 100, device="meta"))),
        *[long] * 3,
    )
    assert masked.working <= 4 * one + 4 * 100 * 100
    assert footprint_of(Call(lambda q, k, v: (q @ k.mT).softmax(-1) @ v), long, long, long).working > 4 * 100 * 100 * 4


def test_a_block_that_takes_gradients_itself_is_allowed(
    register: Callable[..., Blocks], registry: Registry, realised: Callable[[Graph], Architecture]
) -> None:
    class Sloped(nn.Module):
        def __init__(self, *, in_features: int) -> None:
            super().__init__()
            self.linear = nn.Linear(in_features, in_features, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return torch.func.grad(lambda x: self.linear(x).square().sum())(x)  # type: ignore[no-any-return]

    b = register("sloped", Sloped, inputs=("vector",))
    plan = blueprint(realised(nas.chain(sloped=b.sloped())), TaskInfo("vector", (VECTOR,), 10), registry)
    assert plan.shapes["sloped"] == VECTOR
    assert plan.costs.params == 100
    assert plan.costs.training > 40 + 40 + 3 * 40  # as if all was kept: the input, and what was made


RELU, SILU = Footprint(0, (False,), True, None, 40), Footprint(0, (True,), False, None, 40)


def test_what_several_blocks_keep_is_there_once() -> None:
    work = Adding([VECTOR])
    for name, kept, read in (("a", RELU, (0,)), ("b", SILU, (1,)), ("c", SILU, (1,)), ("d", SILU, (2, 3))):
        work.add(kept, name, [read], [VECTOR], VECTOR)
    # the output of a, which three keep, and the sum of b and c, a tensor of its own
    assert work.footprint((4,)) == Footprint(80, (False,), False, None, 40)
    assert work.training(VECTOR) == 40 + 80 + LOSS * 40
    assert work.footprint((1,)).output
    assert work.footprint((1,)).inside == 40


def test_a_view_of_the_input_is_the_input() -> None:
    work = Adding([VECTOR])
    work.add(Footprint(0, (False,), False, 0, 0), "view", [(0,)], [VECTOR], VECTOR)
    work.add(SILU, "silu", [(1,)], [VECTOR], VECTOR)
    assert work.footprint((2,)) == Footprint(0, (True,), False, None, 40)
    assert work.footprint((1,)).passed == 0


def test_evaluation_holds_a_value_until_its_name_is_another_s() -> None:
    for names, held in ((["a", "b", "c"], 160), (["a", "b", "b"], 160), (["a", "a", "a"], 120)):
        work = Adding([VECTOR])
        for i, name in enumerate(names):
            work.add(Footprint(0, (False,), False, None, 80), name, [(i,)], [VECTOR], VECTOR)
        assert work.evaluating(Port("vector", (1,))) == 40 + held


SPACES = (
    "cell_cnn", "conv1d", "conv_attention", "darts", "decoder", "encoder", "mobilenet", "recurrent_stack", "seq2seq",
    "two_tower", "vit",
)  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_blocks_together_keep_what_the_network_does(name: str) -> None:
    for task in TASKS:
        try:
            space = build_space(REGISTRY, name, task)
        except SpaceError:
            continue
        if task.padding is not None:
            continue  # blocks that are told of padding pick out what is none
        if task.name == "image" and name != "resnet":
            continue  # as with small images, and larger
        plan = blueprint(space.reference, task, REGISTRY)
        if plan.plan.inner:  # alone its states come from nowhere; see below
            continue
        whole, parts = footprint_of(plan.build_meta(), *meta_inputs(task.inputs, 2)), as_one_block(plan)
        assert parts.inside == pytest.approx(whole.inside, rel=0.01)
        assert parts.inputs == whole.inputs


@pytest.mark.parametrize(
    ("space", "task", "off"),
    [("cell_cnn", TASKS[0], 0.03), ("encoder", TASKS[2], 0.1), ("recurrent_cell", TASKS[2], 0.35)],
    ids=["convolutions", "attention", "a cell, step by step"],
)
def test_it_is_what_a_real_network_keeps_in_training(space: str, task: TaskInfo, off: float) -> None:
    plan = blueprint(build_space(REGISTRY, space, task).reference, task, REGISTRY)
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network = plan.build()
    inputs = [torch.randn(16, *port.shape) for port in task.inputs]
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(*inputs)  # noqa: F841  # holds the graph, and so every address
    for tensor in (*network.parameters(), *network.buffers(), *inputs):
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    assert sum(saved.values()) / 16 == pytest.approx(as_one_block(plan).inside, rel=off)


def test_a_graph_inside_a_block_keeps_its_part_of_every_run(
    register: Callable[..., Blocks], registry: Registry, realised: Callable[[Graph], Architecture]
) -> None:
    class Twice(nn.Module):
        def __init__(self, *, in_features: int, body: nn.Module) -> None:
            super().__init__()
            self.body = body

        @staticmethod
        def body_inputs(in_features: int) -> list[tuple[str, tuple[int, ...]]]:
            return [("vector", (in_features,))]

        def forward(self, x: Tensor) -> Tensor:
            return self.body(self.body(x))  # type: ignore[no-any-return]

    b = register("twice", Twice, inputs=("vector",), parameters={"body": None})
    body = nas.chain(up=b.linear(features=30), act=b.tanh(), down=b.linear(features=10))
    task = TaskInfo("vector", (VECTOR,), 10)
    plan = blueprint(realised(nas.chain(twice=b.twice(body=body))), task, registry)
    once = 30 * 4  # what the activation gives; its input is kept by nothing
    kept, at_work = 40 + (2 * once + 40), 40 + once + 40
    assert plan.costs.training == 40 + kept + at_work
