"""Blocks of later families: counted against published networks, and what each does to numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas_plugins.cnn import blocks, convnext, layers, mobile, signals


def image(channels: int = 8, size: int = 9) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def signal(features: int = 8, length: int = 12) -> Tensor:
    return torch.randn(2, length, features, generator=torch.Generator().manual_seed(0))


def params(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_shuffle_units_have_the_parameters_of_shufflenet_v2() -> None:
    def units() -> Iterator[nn.Module]:
        channels = 24
        for wider, depth in ((116, 4), (232, 8), (464, 4)):
            yield mobile.ShuffleUnit(in_channels=channels, channels=wider, stride=2)
            yield from (mobile.ShuffleUnit(in_channels=wider) for _ in range(depth - 1))
            channels = wider

    stem = blocks.Conv(in_channels=3, channels=24, stride=2)
    last = blocks.Conv(in_channels=464, channels=1024, kernel=1)
    assert params(stem, *units(), last, nn.Linear(1024, 1000)) == 2_278_604


def test_convnext_has_the_parameters_of_convnext_t() -> None:
    def parts() -> Iterator[nn.Module]:
        yield convnext.PatchConv(in_channels=3, channels=96, size=4, norm_first=False)
        for width, depth in ((96, 3), (192, 3), (384, 9), (768, 3)):
            if width > 96:
                yield convnext.PatchConv(in_channels=width // 2)
            yield from (convnext.ConvNeXt(in_channels=width) for _ in range(depth))
        yield nn.LayerNorm(768)
        yield nn.Linear(768, 1000)

    assert params(*parts()) == 28_589_128


GHOSTNET = [
    (3, 16, 16, 0.0, 1),
    (3, 48, 24, 0.0, 2),
    (3, 72, 24, 0.0, 1),
    (5, 72, 40, 0.25, 2),
    (5, 120, 40, 0.25, 1),
    (3, 240, 80, 0.0, 2),
    (3, 200, 80, 0.0, 1),
    (3, 184, 80, 0.0, 1),
    (3, 184, 80, 0.0, 1),
    (3, 480, 112, 0.25, 1),
    (3, 672, 112, 0.25, 1),
    (5, 672, 160, 0.25, 2),
    (5, 960, 160, 0.0, 1),
    (5, 960, 160, 0.25, 1),
    (5, 960, 160, 0.0, 1),
    (5, 960, 160, 0.25, 1),
]
"""Kernel, width of the middle, width, gate and stride of every bottleneck (Han et al. 2020, table 1)."""


def test_ghost_bottlenecks_have_the_parameters_of_ghostnet() -> None:
    def parts() -> Iterator[nn.Module]:
        yield blocks.Conv(in_channels=3, channels=16, stride=2)
        channels = 16
        for kernel, wide, wider, squeeze, stride in GHOSTNET:
            given: dict[str, Any] = {"kernel": kernel, "stride": stride, "squeeze": squeeze}
            yield mobile.GhostBottleneck(in_channels=channels, channels=wider, expansion=wide / channels, **given)
            channels = wider
        yield blocks.Conv(in_channels=160, channels=960, kernel=1)
        yield nn.Conv2d(960, 1280, 1)
        yield nn.Linear(1280, 1000)

    # The paper says 5.2 million, its authors' code makes 5.18.
    assert round(params(*parts()) / 1e6, 2) == 5.18


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("cls", [mobile.ShuffleUnit, mobile.GhostConv, mobile.GhostBottleneck])
def test_stride_and_width(cls: type[nn.Module], stride: int) -> None:
    size = -(-9 // stride)
    assert cls(in_channels=8, channels=12, stride=stride)(image()).shape == (2, 12, size, size)
    assert cls(in_channels=8, stride=stride)(image()).shape == (2, 8, size, size)


@pytest.mark.parametrize("cls", [mobile.ShuffleUnit, mobile.GhostConv, mobile.GhostBottleneck])
def test_what_cannot_be_is_refused(cls: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"expected an activation among none, .*, got 'rellu'"):
        cls(in_channels=8, activation="rellu")
    given = {"cheap": 2} if cls is mobile.GhostConv else {"kernel": 2, "stride": 2}
    with pytest.raises(ValueError, match="expected an odd kernel, which keeps height and width, got 2"):
        cls(in_channels=8, **given)


def test_shuffle_unit_passes_half_of_the_channels_and_shuffles() -> None:
    x = image()
    out = mobile.ShuffleUnit(in_channels=8)(x)
    assert torch.equal(out[:, ::2], x[:, :4])
    with pytest.raises(ValueError, match="expected an even number of channels, which splits in halves, got 7"):
        mobile.ShuffleUnit(in_channels=7)


def test_ghost_convolution_makes_the_rest_from_its_own_channels() -> None:
    block = mobile.GhostConv(in_channels=8, channels=7).eval()
    out = block(image())
    assert out.shape[1] == 7
    torch.testing.assert_close(out[:, 4:], block.ghosts(out[:, :4])[:, :3])
    with pytest.raises(ValueError, match="expected a ratio of at least 2, got 1"):
        mobile.GhostConv(in_channels=8, ratio=1)


def test_ghost_bottleneck_is_a_residual() -> None:
    block = mobile.GhostBottleneck(in_channels=8, squeeze=0.25).eval()
    for part in (block.body.project.primary, block.body.project.ghosts):
        nn.init.zeros_(part[1].weight)
    assert torch.equal(block(image()), image())


def test_convnext_starts_as_almost_nothing_beside_its_shortcut() -> None:
    x = image()
    block = convnext.ConvNeXt(in_channels=8)
    torch.testing.assert_close(block(x), x, atol=1e-4, rtol=0)
    assert not torch.allclose(convnext.ConvNeXt(in_channels=8, scale=0.0)(x), x, atol=1e-2)
    with pytest.raises(ValueError, match="expected an odd kernel"):
        convnext.ConvNeXt(in_channels=8, kernel=4)


@pytest.mark.parametrize(("size", "norm_first", "after"), [(2, True, 4), (4, False, 2)])
def test_patches(size: int, norm_first: bool, after: int) -> None:
    block = convnext.PatchConv(in_channels=8, size=size, norm_first=norm_first)
    assert block(image()).shape == (2, 16, after, after)
    if not norm_first:
        torch.testing.assert_close(block(image()).mean(dim=1), torch.zeros(2, after, after), atol=1e-5, rtol=0)


def test_drop_path_drops_whole_examples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block = convnext.DropPath(rate=0.25)
    out = block(torch.ones(4000, 2, 3))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(out.amin(dim=(1, 2)), out.amax(dim=(1, 2)))
    assert out.mean().item() == pytest.approx(1, abs=0.03)
    x = image()
    assert block.eval()(x) is x
    with pytest.raises(ValueError, match=r"expected a rate of at least 0 and below 1, got 1\.0"):
        convnext.DropPath(rate=1.0)


def test_layers_are_those_of_the_frameworks() -> None:
    block = layers.Conv2d(in_channels=3, channels=6, kernel=5, padding="valid", activation="tanh")
    plain = nn.Sequential(nn.Conv2d(3, 6, 5), nn.Tanh(), nn.MaxPool2d(2))
    plain[0].load_state_dict(block.conv.state_dict())
    x = torch.randn(2, 3, 32, 31)
    assert torch.equal(layers.Pool2d()(block(x)), plain(x))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"padding": "full"}, "expected padding 'same' or 'valid', got 'full'"),
        ({"kernel": 4}, "expected an odd kernel"),
        ({"activation": "rellu"}, "expected an activation among none, .*, got 'rellu'"),
    ],
)
@pytest.mark.parametrize("cls", [layers.Conv2d, signals.Conv1d])
def test_layer_that_cannot_be_is_refused(cls: type[nn.Module], given: dict[str, Any], said: str) -> None:
    width = {"in_channels": 8} if cls is layers.Conv2d else {"in_features": 8}
    with pytest.raises(ValueError, match=said):
        cls(**width, **given)


@pytest.mark.parametrize("cls", [layers.Pool2d, signals.Pool1d])
def test_unknown_kind_of_pool_is_refused(cls: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="expected a kind among max, avg, got 'mean'"):
        cls(kind="mean")


@pytest.mark.parametrize("size", [8, 9])
def test_factorized_reduce_sees_even_and_odd_pixels(size: int) -> None:
    block = blocks.FactorizedReduce(in_channels=1, channels=2).eval()
    nn.init.ones_(block.even.weight)
    nn.init.ones_(block.odd.weight)
    x = image(1, size).abs()
    out = block(x) * (1 + block.norm.eps) ** 0.5
    torch.testing.assert_close(out[:, 0], x[:, 0, ::2, ::2])
    seen = x[:, 0, 1::2, 1::2]
    torch.testing.assert_close(out[:, 1, : seen.shape[1], : seen.shape[2]], seen)
    with pytest.raises(ValueError, match="expected an even number of channels"):
        blocks.FactorizedReduce(in_channels=3)


@pytest.mark.parametrize("cls", [signals.Conv1d, signals.SeparableConv1d, signals.Residual1d])
@pytest.mark.parametrize(("stride", "length"), [(1, 13), (2, 7), (4, 4)])
def test_stride_divides_the_length_upwards(cls: type[nn.Module], stride: int, length: int) -> None:
    assert cls(in_features=8, features=6, stride=stride)(signal(length=13)).shape == (2, length, 6)


def test_convolution_slides_along_time() -> None:
    block = signals.Conv1d(in_features=8, features=6, kernel=3, padding="valid", activation="none")
    out = block(signal())
    assert out.shape == (2, 10, 6)
    weight, bias = block.body.conv.weight, block.body.conv.bias
    first = torch.einsum("btd,fdt->bf", signal()[:, :3], weight) + bias
    torch.testing.assert_close(out[:, 0], first)


def test_grouped_and_dilated_along_time() -> None:
    block = signals.Conv1d(in_features=8, features=8, groups=8, dilation=2, norm=True)
    assert block.body.conv.bias is None
    assert params(block.body.conv) == 8 * 3
    assert block(signal()).shape == (2, 12, 8)
    with pytest.raises(ValueError, match="divisible by groups"):
        signals.Conv1d(in_features=8, groups=3)


def test_pool_along_time() -> None:
    x = signal(length=5)
    assert torch.equal(signals.Pool1d()(x), torch.stack([x[:, :2].amax(1), x[:, 2:4].amax(1)], 1))
    torch.testing.assert_close(signals.Pool1d(kind="avg", size=5)(x), x.mean(1, keepdim=True))


def test_residual_along_time_adds_its_input() -> None:
    block = signals.Residual1d(in_features=8).eval()
    nn.init.zeros_(block.body[4].weight)
    assert torch.equal(block(signal()), signal().relu())
