from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.plugin.manager import create_manager
from nas_plugins.cnn import blocks

REGISTRY = create_manager().registry
SIZED = {
    "conv": blocks.Conv,
    "separable_conv": blocks.SeparableConv,
    "dilated_conv": blocks.DilatedConv,
    "residual_basic": blocks.ResidualBasic,
    "residual_bottleneck": blocks.ResidualBottleneck,
    "mbconv": blocks.MBConv,
}
KERNELLED = [*SIZED.values(), blocks.Reduction]


def image(channels: int = 8, size: int = 9) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cls", SIZED.values())
@pytest.mark.parametrize(("stride", "size", "after"), [(1, 9, 9), (2, 9, 5), (2, 8, 4), (2, 1, 1)])
def test_stride_divides_height_and_width_upwards(cls: type[nn.Module], stride: int, size: int, after: int) -> None:
    block = cls(in_channels=8, channels=12, stride=stride)
    assert block(image(size=size)).shape == (2, 12, after, after)


@pytest.mark.parametrize("cls", [*SIZED.values(), blocks.MaxPool, blocks.AvgPool])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_blocks_keep_the_shape_by_default(cls: type[nn.Module], kernel: int) -> None:
    given = {} if cls in (blocks.MaxPool, blocks.AvgPool) else {"in_channels": 8}
    assert cls(**given, kernel=kernel)(image()).shape == (2, 8, 9, 9)


@pytest.mark.parametrize("cls", KERNELLED)
@pytest.mark.parametrize("kernel", [0, 2, 4])
def test_even_kernel_is_refused(cls: type[nn.Module], kernel: int) -> None:
    with pytest.raises(ValueError, match=f"expected an odd kernel, which keeps height and width, got {kernel}"):
        cls(in_channels=8, kernel=kernel)


@pytest.mark.parametrize("cls", [blocks.MaxPool, blocks.AvgPool])
def test_even_window_is_refused(cls: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="expected an odd kernel"):
        cls(kernel=2)


@pytest.mark.parametrize("cls", [*KERNELLED, blocks.Classifier])
def test_unknown_activation_is_refused_with_the_list(cls: type[nn.Module]) -> None:
    given = {"norm_act": True} if cls is blocks.Classifier else {}
    with pytest.raises(ValueError, match=r"expected an activation among relu, .*, got 'rellu'"):
        cls(in_channels=8, activation="rellu", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"order": "conv_act"}, "expected an order among conv_norm_act, .*, got 'conv_act'"),
        ({"groups": 3}, "expected groups that divide 8 and 8 channels, got 3"),
    ],
)
def test_convolution_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        blocks.Conv(in_channels=8, **given)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("conv_norm_act", ["conv", "norm", "act"]),
        ("conv_norm", ["conv", "norm"]),
        ("norm_act_conv", ["norm", "act", "conv"]),
        ("act_conv_norm", ["act", "conv", "norm"]),
    ],
)
def test_convolution_in_every_order(order: str, names: list[str]) -> None:
    block = blocks.Conv(in_channels=8, channels=6, order=order)
    assert [name for name, _ in block.named_children()] == names
    assert block(image()).shape == (2, 6, 9, 9)
    assert block.norm.num_features == (8 if order == "norm_act_conv" else 6)


NAMES = [entry.name for entry in REGISTRY.all("block") if entry.owner == "cnn"]


def made(name: str) -> tuple[nn.Module, Tensor]:
    """A block with its defaults and an input for it."""
    entry = REGISTRY.get("block", name)
    x = image(size=8)
    if "sequence" in entry.details["signature"].inputs:
        x = x.flatten(2).transpose(1, 2)
    asked = inspect.signature(entry.load()).parameters
    return entry.load()(**{width: 8 for width in ("in_channels", "in_features") if width in asked}), x


@pytest.mark.parametrize("name", NAMES)
def test_zeros_give_zeros_exactly_where_declared(name: str) -> None:
    traits = REGISTRY.get("block", name).details["signature"].traits
    block, x = made(name)
    for mode in (True, False):
        out = block.train(mode)(x * 0)
        assert bool((out == 0).all()) == (traits.keeps_zero or traits.role in ("identity", "zero", "sum"))


@pytest.mark.parametrize("name", NAMES)
def test_blocks_leave_their_input_alone(name: str) -> None:
    block, x = made(name)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("activation", blocks.ACTIVATIONS)
def test_activations_give_zero_for_zero(activation: str) -> None:
    assert blocks.make_activation(activation)(torch.zeros(3)).eq(0).all()


def test_residual_block_projects_only_where_shapes_differ() -> None:
    assert isinstance(blocks.ResidualBasic(in_channels=8).shortcut, nn.Identity)
    assert isinstance(blocks.ResidualBasic(in_channels=8, stride=2).shortcut, blocks.Conv)
    assert isinstance(blocks.ResidualBottleneck(in_channels=8, channels=16).shortcut, blocks.Conv)


def test_residual_block_adds_its_input() -> None:
    block = blocks.ResidualBasic(in_channels=8).eval()
    nn.init.zeros_(block.body[1].norm.weight)
    assert torch.equal(block(image()), image().relu())


def test_bottleneck_has_the_parameters_of_resnet_50() -> None:
    # 256 -> 64 -> 64 -> 256 with batch normalisation, as in the published network's second block.
    block = blocks.ResidualBottleneck(in_channels=256)
    assert sum(p.numel() for p in block.parameters()) == 70_400


def test_mbconv_has_the_parameters_of_efficientnet_b0() -> None:
    # Stage 2, second block of EfficientNet-B0: 24 channels, expansion 6, kernel 3, gate of 24/4 channels.
    block = blocks.MBConv(in_channels=24)
    convolutions = 24 * 144 + 144 * 9 + 144 * 24
    gate = 144 * 6 + 6 + 6 * 144 + 144
    assert sum(p.numel() for p in block.parameters()) == convolutions + gate + 2 * (144 + 144 + 24)


def test_mbconv_is_residual_only_where_shapes_allow() -> None:
    same = blocks.MBConv(in_channels=8).eval()
    nn.init.zeros_(same.body.project.norm.weight)
    assert torch.equal(same(image()), image())
    wider = blocks.MBConv(in_channels=8, channels=12).eval()
    nn.init.zeros_(wider.body.project.norm.weight)
    assert wider(image()).eq(0).all()


def test_mbconv_without_gate_or_expansion() -> None:
    block = blocks.MBConv(in_channels=8, expansion=1, squeeze=0.0)
    assert [name for name, _ in block.body.named_children()] == ["depthwise", "project"]
    with pytest.raises(ValueError, match="expected an expansion of at least 1, got 0"):
        blocks.MBConv(in_channels=8, expansion=0)


def test_squeeze_and_excite_weighs_whole_channels() -> None:
    x = image()
    weights = blocks.SqueezeExcite(8, 2, "relu")(x) / x
    assert torch.allclose(weights, weights[:, :, :1, :1].expand_as(weights))
    assert weights.min() > 0
    assert weights.max() < 1


def test_average_does_not_count_the_padding() -> None:
    assert torch.allclose(blocks.AvgPool()(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(("size", "after"), [(8, 4), (7, 4), (1, 1)])
def test_reduction_halves_and_doubles(size: int, after: int) -> None:
    assert blocks.Reduction(in_channels=8)(image(size=size)).shape == (2, 16, after, after)


def test_classifier_averages_over_the_image() -> None:
    block = blocks.Classifier(in_channels=8, classes=3).eval()
    x = image()
    torch.testing.assert_close(block(x), block.linear(x.mean(dim=(2, 3))))
    normed = blocks.Classifier(in_channels=8, classes=3, norm_act=True).eval()
    torch.testing.assert_close(normed(x), normed.linear(normed.features[0](x).relu().mean(dim=(2, 3))))


def test_sums_and_zeros_and_concatenations() -> None:
    x, y = image(), image().flip(0)
    assert torch.equal(blocks.Add()(x, y, y), x + y + y)
    assert torch.equal(blocks.Concat()(x, y[:, :3])[:, 8:], y[:, :3])
    assert blocks.Zero()(x).eq(0).all()
    # Zero is zero even where its input is not a number.
    assert blocks.Zero()(x * float("nan")).eq(0).all()
