"""What the rules of the meta device foretell is what PyTorch itself finds there."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import nas
from nas.errors import CandidateError, SpaceError
from nas.model import blueprint, count_flops
from nas.model.meta import Counting, Making
from nas.model.rules import RULES
from nas.model.settle import meta_inputs
from nas.plugin.build import build_space
from nas.testing.case import TASKS

REGISTRY = nas.create_manager().registry

NEW = (torch.empty, torch.zeros, torch.ones)
CALLS: dict[str, tuple[Callable[..., object], tuple[tuple[int, ...], ...]]] = {
    "linear": (F.linear, ((2, 3, 4), (5, 4), (5,))),
    "products": (lambda x, y: (x @ y, x[0] @ y[0], x.mT.bmm(y.mT), x[0].mm(y[0])), ((2, 3, 3), (2, 3, 3))),
    "bmm that does not fit": (torch.bmm, ((2, 3, 4), (2, 3, 4))),
    "bmm of other numbers of matrices": (torch.bmm, ((2, 3, 4), (1, 4, 3))),
    "mm that does not fit": (torch.mm, ((3, 4), (3, 4))),
    "mm of other numbers": (lambda x, y: x.double().mm(y), ((3, 4), (4, 3))),
    "linear that does not fit": (F.linear, ((2, 3), (5, 4), (5,))),
    "bias that does not fit": (F.linear, ((2, 4), (5, 4), (6,))),
    "conv": (lambda x, w: F.conv2d(x, w, stride=2, padding=(2, 1)), ((2, 3, 9, 8), (4, 3, 5, 3))),
    "conv by groups": (lambda x, w: F.conv2d(x, w, groups=2, dilation=2), ((2, 6, 9, 8), (4, 3, 3, 3))),
    "conv of other channels": (F.conv2d, ((2, 5, 9, 8), (4, 3, 3, 3))),
    "conv of too few pixels": (F.conv2d, ((2, 3, 2, 8), (4, 3, 3, 3))),
    "conv of odd groups": (lambda x, w: F.conv2d(x, w, groups=3), ((2, 6, 9, 8), (4, 2, 3, 3))),
    "conv back": (F.conv_transpose2d, ((2, 3, 9, 8), (3, 4, 3, 3))),
    "conv of a part": (lambda x, w: F.conv2d(x[:, :, 1:, 1:], w), ((2, 3, 9, 8), (4, 3, 5, 3))),
    "conv with channels last": (lambda x, w: F.conv2d(x.movedim(-1, 1), w), ((2, 9, 8, 3), (4, 3, 5, 3))),
    "conv1d of what is turned round": (lambda x, w: F.conv1d(x.mT, w), ((2, 9, 3), (4, 3, 2))),
    "conv1d": (F.conv1d, ((2, 3, 9), (4, 3, 2))),
    "batch norm": (F.batch_norm, ((2, 3, 4, 5), (3,), (3,))),
    "batch norm in training": (lambda x: F.batch_norm(x, None, None, training=True), ((2, 3, 4, 5),)),
    "batch norm of other channels": (F.batch_norm, ((2, 3, 4, 5), (4,), (4,))),
    "layer norm": (lambda x: F.layer_norm(x, (4, 5)), ((2, 3, 4, 5),)),
    "layer norm of other features": (lambda x: F.layer_norm(x, (4,)), ((2, 3, 5),)),
    "layer norm of other weights": (lambda x, w: F.layer_norm(x, (4,), w), ((2, 3, 4), (5,))),
    "softmax": (lambda x: F.softmax(x, -1), ((2, 3),)),
    "softmax over an axis too many": (lambda x: F.softmax(x, 2), ((2, 3),)),
    "softmax in other numbers": (lambda x: F.softmax(x, -1, dtype=torch.float64), ((2, 3),)),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), ((2, 3, 4, 6),)),
    "activations": (lambda x: [f(x) for f in (F.relu, F.hardswish, F.logsigmoid, F.gelu, F.elu)], ((2, 3, 4),)),
    "max pool": (lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), ((2, 3, 8, 9),)),
    "max pool with holes": (lambda x: F.max_pool2d(x, (2, 3), dilation=(1, 2)), ((2, 3, 8, 9),)),
    "max pool, rounded up": (lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), ((2, 3, 8, 8),)),
    "max pool of too few pixels": (lambda x: F.max_pool2d(x, 3), ((2, 3, 2, 2),)),
    "mean pool": (lambda x: (F.avg_pool2d(x, 2), F.avg_pool2d(x, (3, 2), 1, 1)), ((2, 3, 8, 9),)),
    "mean pool, rounded up": (lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True), ((2, 3, 8, 8),)),
    "mean pool with too much around": (lambda x: F.avg_pool2d(x, 2, padding=2), ((2, 3, 8, 8),)),
    "mean pool of one image": (lambda x: F.avg_pool2d(x, 2), ((3, 8, 8),)),
    "pad": (lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 2, 0)), F.pad(x, (-1, 0))), ((2, 3, 4),)),
    "pad of axes too many": (lambda x: F.pad(x, (1, 1, 1, 1)), ((3,),)),
    "mean": (lambda x: (x.mean((1, -1)), x.mean(-2, keepdim=True), x.sum(0), x.mean()), ((2, 3, 4),)),
    "mean over an axis too many": (lambda x: x.mean((3,)), ((2, 3, 4),)),
    "sums": (lambda x: (x.cumsum(1), x.logcumsumexp(0), (x > 0).cumsum(1), x.sum(1, dtype=torch.float64)), ((2, 3),)),
    "sum over an axis too many": (lambda x: x.cumsum(2), ((2, 3),)),
    "triangle": (lambda x: (x.tril(), x.triu(1), (x > 0).tril()), ((3, 4),)),
    "triangle of a line": (torch.tril, ((3,),)),
    "roll": (lambda x: (x.roll(1, -1), x.transpose(1, 2).roll(2, 1), x[:, :, 1:].roll(1, 2)), ((2, 3, 4),)),
    "roll over an axis too many": (lambda x: x.roll(1, 3), ((2, 3, 4),)),
    "cat": (lambda x, y: torch.cat([x, y], -1), ((2, 3, 4), (2, 3, 1))),
    "cat that does not fit": (lambda x, y: torch.cat([x, y], 1), ((2, 3, 4), (2, 3, 1))),
    "cat of other axes": (lambda x, y: torch.cat([x, y], 0), ((2, 3), (2, 3, 1))),
    "cat with nothing": (lambda x, y: torch.cat([x, y], 0), ((2, 3), (0,))),
    "cat of parts": (lambda x: torch.cat([x[..., 2:], x[..., :2]], -1), ((2, 3, 4),)),
    "cat of what is turned round": (lambda x: torch.cat([x.transpose(1, 2)] * 2, -1), ((2, 3, 4, 5),)),
    "cat with channels last": (lambda x: torch.cat([x.movedim(-1, 1)] * 2, 1), ((2, 4, 5, 3),)),
    "cat of other numbers": (lambda x: torch.cat([x.double(), x], 1), ((2, 3),)),
    "broadcast": (lambda x, y: (x + y, y - x, x > y, 2 * x, x**2, 2**y), ((2, 1, 4), (3, 1))),
    "broadcast that does not fit": (torch.add, ((2, 3), (4,))),
    "in place": (lambda x, y: (x.add_(y), x.mul_(2).relu_()), ((2, 3), (3,))),
    "in place, too large": (lambda x, y: x.add_(y), ((3,), (2, 3))),
    "turned round": (lambda x: (F.relu(x.mT) + 1, x.mT * x[:, :1, :1], x * x.mT, x.mT + x.mT), ((2, 4, 4),)),
    "a part": (lambda x: (2 * x[:, 1:], x[:, 1:].mT.exp(), x[..., ::2].mT + 1, x[1:, 1:].mT.clone()), ((3, 4, 5),)),
    "a part, of one": (lambda x: (x[:, :1].mT.exp(), x[:, :, :1].transpose(0, 1).clone()), ((3, 4, 5),)),
    "views": (lambda x: (x.view(4, 2), x.t(), x.t().transpose(0, 1), x.expand(3, 2, 4)), ((2, 4),)),
    "a view that does not fit": (lambda x: x.view(3, 3), ((2, 4),)),
    "a view of what is turned round": (lambda x: x.mT.view(-1), ((2, 4),)),
    "an axis too many": (lambda x: x.transpose(0, 2), ((2, 4),)),
    "copies": (lambda x: (x.clone(), x.mT.clone(), (x > 0).clone(), x.expand(3, 2, 4).clone()), ((2, 4),)),
    "copies laid out": (
        lambda x: [x.clone(memory_format=form) for form in (torch.channels_last, torch.contiguous_format)],
        ((2, 3, 4, 5),),
    ),
    "copied in order": (lambda x: x.mT.contiguous().view(-1), ((2, 3, 4),)),
    "expanded": (lambda x: x.expand(2, 3, 4) * 2, ((2, 3, 1),)),
    "new": (
        lambda x: [make(2, 3, device=x.device, dtype=kind) for make in NEW for kind in (None, torch.int64)],
        ((2, 3),),
    ),
    "new elsewhere": (lambda x: [make(2, 3) for make in NEW], ((2, 3),)),
    "new, laid out": (lambda x: x.new_empty(2, 3, 4, 5).to(memory_format=torch.channels_last), ((2, 3),)),
    "counted": (
        lambda x: [
            torch.arange(*ends, device=x.device) for ends in ((5,), (2, 7), (1, 8, 3), (0, 1, 0.3), (3, 3), (2.5,))
        ],
        ((2, 3),),
    ),
    "counted down": (lambda x: torch.arange(3, 0, -2, device=x.device), ((2, 3),)),
    "counted the wrong way": (lambda x: torch.arange(3, 0, device=x.device), ((2, 3),)),
    "counted in other numbers": (lambda x: torch.arange(3, device=x.device, dtype=torch.float32), ((2, 3),)),
    "one number": (lambda x: torch.where(x > 0, x, -1.0), ((2, 3),)),
    "other types": (lambda x: (x.long() + x, x.long() / 2, x.long() * True, x.double() + x, ~(x > 0)), ((2, 3),)),
}


def told(call: Callable[..., object], inputs: list[Tensor]) -> object:
    """Types, shapes and strides of what comes out, or the type of the error."""
    try:
        given = call(*inputs)
    except (RuntimeError, IndexError, ValueError) as error:
        return type(error)
    tensors = given if isinstance(given, (list, tuple)) else [given]
    return [(x.device.type, x.dtype, x.shape, x.stride()) for x in tensors]


@pytest.mark.parametrize("name", CALLS)
def test_rules_say_what_pytorch_says(name: str) -> None:
    call, shapes = CALLS[name]
    inputs = [torch.empty(shape, device="meta") for shape in shapes]
    expected = told(call, inputs)
    with torch.no_grad(), Counting():
        once, again = told(call, inputs), told(call, inputs)
    assert once == again == expected


def test_each_rule_is_tried() -> None:
    met = set()

    class Watch(Counting):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            met.add(func)
            return super().__torch_dispatch__(func, types, args, kwargs)

    for call, shapes in CALLS.values():
        with torch.no_grad(), Watch():
            told(call, [torch.empty(shape, device="meta") for shape in shapes])
    with Watch():
        nn.init.normal_(nn.init.zeros_(nn.init.ones_(nn.init.uniform_(torch.empty(3, device="meta")))))
    assert RULES.keys() <= met


def test_all_that_a_constructor_makes_is_on_the_meta_device() -> None:
    class Maker(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 1)
            self.norm = nn.BatchNorm1d(3)
            self.slopes = nn.Buffer(torch.tensor([1.0, 2.0]))
            self.codes = nn.Parameter(torch.randn(4, 2) * torch.outer(torch.arange(4), 2.0 ** -torch.arange(2)))

    with Making():
        module = Maker()
    assert all(tensor.is_meta for tensor in module.state_dict().values())
    assert {k: (v.shape, v.dtype) for k, v in module.state_dict().items()} == {
        k: (v.shape, v.dtype) for k, v in Maker().state_dict().items()
    }


def test_layers_elsewhere_get_their_first_values_meanwhile() -> None:
    def norms() -> list[float]:
        return nn.BatchNorm1d(3).weight.tolist()

    with Making(), ThreadPoolExecutor() as threads:
        nn.BatchNorm1d(3)
        assert threads.submit(norms).result() == [1, 1, 1]
    assert norms() == [1, 1, 1]
    with torch.device("meta"):
        linear = nn.Linear(2, 3)
    nn.init.constant_(linear.to_empty(device="cpu").weight, 9)
    linear.reset_parameters()
    assert linear.weight.abs().max() < 1


def test_a_reset_that_does_more_than_fill_is_run() -> None:
    class Scaled(nn.Linear):
        def reset_parameters(self) -> None:
            super().reset_parameters()
            self.scale = nn.Parameter(torch.ones(3))

    with Making():
        module = Scaled(2, 3)
    assert {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}["scale"] == (3,)


@pytest.mark.parametrize("name", [entry.name for entry in REGISTRY.all("space")])
def test_operations_are_those_that_pytorch_counts_for_one_example(name: str) -> None:
    for task in TASKS:
        try:
            space = build_space(REGISTRY, name, task)
        except SpaceError:
            continue
        rng, compared = random.Random(0), 0
        while compared < 2:
            try:
                made = blueprint(space.sample(rng), task, REGISTRY)
            except CandidateError:
                continue
            compared += 1
            assert made.costs.flops == count_flops(made.build_meta().eval(), meta_inputs(task.inputs, 1))
