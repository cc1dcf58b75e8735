"""Convolutional blocks over images (B, C, H, W): plain PyTorch, and all that an exported model needs of this file.

Every block keeps H and W at stride 1 and makes them ceil(H / stride), ceil(W / stride) otherwise; `channels=None`
means as many as come in. Convolutions have no bias, since a normalisation follows or precedes each of them.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}
"""Activations by name; each gives zero for zero, on which the declared `keeps_zero` rests."""

ORDERS = ("conv_norm_act", "conv_norm", "norm_act_conv", "act_conv_norm")


def make_activation(name: str) -> nn.Module:
    """The activation called `name`, never in place, since other blocks may read the same value."""
    if name not in ACTIVATIONS:
        raise ValueError(f"expected an activation among {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()


def same_padding(kernel: int, dilation: int = 1) -> int:
    """The padding that keeps H and W at stride 1; only an odd kernel has one."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"expected an odd kernel, which keeps height and width, got {kernel}")
    return dilation * (kernel - 1) // 2


def conv2d(
    in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution without bias that keeps H and W at stride 1."""
    if in_channels % groups or channels % groups:
        raise ValueError(f"expected groups that divide {in_channels} and {channels} channels, got {groups}")
    padding = same_padding(kernel, dilation)
    return nn.Conv2d(in_channels, channels, kernel, stride, padding, dilation, groups, bias=False)


class Conv(nn.Sequential):
    """Convolution, batch normalisation and activation: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    order: ``conv_norm_act`` (Ioffe & Szegedy 2015), ``conv_norm`` (the same without activation), ``norm_act_conv``
        (pre-activation, He et al. 2016b) or ``act_conv_norm`` (ReLU-Conv-BN, as in DARTS and NAS-Bench-201).

    Raises ValueError for an even kernel, unknown order or activation, or groups that do not divide the channels.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        activation: str = "relu",
        order: str = "conv_norm_act",
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"expected an order among {', '.join(ORDERS)}, got {order!r}")
        channels = channels or in_channels
        parts: dict[str, nn.Module] = {
            "conv": conv2d(in_channels, channels, kernel, stride=stride, groups=groups, dilation=dilation),
            "norm": nn.BatchNorm2d(in_channels if order == "norm_act_conv" else channels),
            "act": make_activation(activation),
        }
        super().__init__(OrderedDict((part, parts[part]) for part in order.split("_")))


class SeparableConv(nn.Sequential):
    """Two depthwise-separable convolutions, activation first: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    Each is activation, depthwise, pointwise, batch normalisation; the first has the stride (Liu et al. 2019, DARTS).

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__(
            make_activation(activation),
            conv2d(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
            conv2d(in_channels, in_channels, 1),
            nn.BatchNorm2d(in_channels),
            make_activation(activation),
            conv2d(in_channels, in_channels, kernel, groups=in_channels),
            conv2d(in_channels, channels or in_channels, 1),
            nn.BatchNorm2d(channels or in_channels),
        )


class DilatedConv(nn.Sequential):
    """A dilated depthwise-separable convolution: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    Activation, dilated depthwise, pointwise, batch normalisation (Liu et al. 2019, DARTS).

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 2,
        activation: str = "relu",
    ) -> None:
        super().__init__(
            make_activation(activation),
            conv2d(in_channels, in_channels, kernel, stride=stride, groups=in_channels, dilation=dilation),
            conv2d(in_channels, channels or in_channels, 1),
            nn.BatchNorm2d(channels or in_channels),
        )


class Residual(nn.Module):
    """What the residual blocks share: `body` beside a shortcut, which projects where shapes differ, then activation."""

    def __init__(self, body: nn.Module, in_channels: int, channels: int, stride: int, activation: str) -> None:
        super().__init__()
        self.body = body
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != in_channels:
            self.shortcut = Conv(in_channels=in_channels, channels=channels, kernel=1, stride=stride, order="conv_norm")
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/stride, W/stride)."""
        out: Tensor = self.act(self.body(x) + self.shortcut(x))
        return out


class ResidualBasic(Residual):
    """Two convolutions beside a shortcut: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    The basic block of ResNet-18 and -34 (He et al. 2016).

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "relu",
    ) -> None:
        channels = channels or in_channels
        body = nn.Sequential(
            Conv(in_channels=in_channels, channels=channels, kernel=kernel, stride=stride, activation=activation),
            Conv(in_channels=channels, kernel=kernel, order="conv_norm"),
        )
        super().__init__(body, in_channels, channels, stride, activation)


class ResidualBottleneck(Residual):
    """Narrow, convolve, widen, beside a shortcut: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    The bottleneck of ResNet-50 (He et al. 2016), its stride in the middle convolution; `ratio` is channels over the
    narrow width, and `groups` > 1 makes it ResNeXt's (Xie et al. 2017).

    Raises ValueError for an even kernel, an unknown activation, or groups that do not divide the narrow width.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        ratio: int = 4,
        groups: int = 1,
        activation: str = "relu",
    ) -> None:
        channels = channels or in_channels
        narrow = max(1, channels // ratio)
        body = nn.Sequential(
            Conv(in_channels=in_channels, channels=narrow, kernel=1, activation=activation),
            Conv(in_channels=narrow, kernel=kernel, stride=stride, groups=groups, activation=activation),
            Conv(in_channels=narrow, channels=channels, kernel=1, order="conv_norm"),
        )
        super().__init__(body, in_channels, channels, stride, activation)


class SqueezeExcite(nn.Module):
    """Channels weighed by a gate that sees their means, `squeezed` wide: (B, C, H, W) -> the same (Hu et al. 2018)."""

    def __init__(self, in_channels: int, squeezed: int, activation: str) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, squeezed, 1),
            make_activation(activation),
            nn.Conv2d(squeezed, in_channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = x * self.gate(x)
        return out


class MBConv(nn.Module):
    """Inverted residual bottleneck: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    Widen by `expansion`, depthwise convolution, squeeze-and-excite, narrow without activation; beside a shortcut where
    shapes allow (Sandler et al. 2018). `squeeze` is the gate's width over the channels that come in, 0 for no gate
    (Tan et al. 2019).

    Raises ValueError for an even kernel, an unknown activation, or an expansion below 1.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        expansion: int = 6,
        squeeze: float = 0.25,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if expansion < 1:
            raise ValueError(f"expected an expansion of at least 1, got {expansion}")
        channels = channels or in_channels
        wide = in_channels * expansion
        self.residual = stride == 1 and channels == in_channels
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            parts["expand"] = Conv(in_channels=in_channels, channels=wide, kernel=1, activation=activation)
        parts["depthwise"] = Conv(in_channels=wide, kernel=kernel, stride=stride, groups=wide, activation=activation)
        if squeeze:
            parts["excite"] = SqueezeExcite(wide, max(1, round(in_channels * squeeze)), activation)
        parts["project"] = Conv(in_channels=wide, channels=channels, kernel=1, order="conv_norm")
        self.body = nn.Sequential(parts)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/stride, W/stride)."""
        out: Tensor = self.body(x)
        return x + out if self.residual else out


class MaxPool(nn.MaxPool2d):
    """The largest of each window: (B, C, H, W) -> (B, C, H/stride, W/stride). Raises ValueError for an even kernel."""

    def __init__(self, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(kernel, stride, same_padding(kernel))


class AvgPool(nn.AvgPool2d):
    """The mean of each window, its padding not counted: (B, C, H, W) -> (B, C, H/stride, W/stride).

    Raises ValueError for an even kernel.
    """

    def __init__(self, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(kernel, stride, same_padding(kernel), count_include_pad=False)


class Reduction(nn.Module):
    """Half the height and width: (B, C, H, W) -> (B, channels, H/2, W/2); `channels=None` doubles them.

    A residual block of two activation-convolution-norms, the first of stride 2, beside a mean over 2x2 and a pointwise
    convolution (Dong & Yang 2020, NAS-Bench-201).

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self, *, in_channels: int, channels: int | None = None, kernel: int = 3, activation: str = "relu"
    ) -> None:
        super().__init__()
        channels = channels or 2 * in_channels
        self.body = nn.Sequential(
            Conv(
                in_channels=in_channels,
                channels=channels,
                kernel=kernel,
                stride=2,
                activation=activation,
                order="act_conv_norm",
            ),
            Conv(in_channels=channels, kernel=kernel, activation=activation, order="act_conv_norm"),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True), conv2d(in_channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/2, W/2)."""
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class FactorizedReduce(nn.Module):
    """Half the height and width and no window: (B, C, H, W) -> (B, channels, H/2, W/2).

    Activation, then two pointwise convolutions of stride 2, one of them a pixel further right and down, side by side,
    then batch normalisation (Liu et al. 2019, DARTS); what a skip becomes where a cell halves the image.

    Raises ValueError for an odd number of channels or an unknown activation.
    """

    def __init__(self, *, in_channels: int, channels: int | None = None, activation: str = "relu") -> None:
        super().__init__()
        channels = channels or in_channels
        if channels % 2:
            raise ValueError(f"expected an even number of channels, of which each half is made, got {channels}")
        self.act = make_activation(activation)
        self.even = conv2d(in_channels, channels // 2, 1, stride=2)
        self.odd = conv2d(in_channels, channels // 2, 1, stride=2)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/2, W/2)."""
        x = self.act(x)
        moved = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(moved)], dim=1))
        return out


class Classifier(nn.Module):
    """Global average pooling, dropout, linear: (B, C, H, W) -> (B, classes).

    norm_act: batch normalisation and activation before the pooling, for cells that end in a sum (NAS-Bench-201).
    """

    def __init__(
        self,
        *,
        in_channels: int,
        classes: int = 10,
        dropout: float = 0.0,
        norm_act: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        before = [nn.BatchNorm2d(in_channels), make_activation(activation)] if norm_act else []
        self.features = nn.Sequential(*before, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.linear = nn.Linear(in_channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        out: Tensor = self.linear(self.features(x))
        return out


class Zero(nn.Module):
    """Zeros, shaped as what comes in, of any shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return torch.zeros_like(x)


class Add(nn.Module):
    """The sum of any number of inputs of one shape, element by element."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Equal shapes -> that shape."""
        out = first
        for other in others:
            out = out + other
        return out


class Concat(nn.Module):
    """Any number of images side by side in their channels: n of (B, C_i, H, W) -> (B, sum of C_i, H, W)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """N of (B, C_i, H, W) -> (B, sum of C_i, H, W)."""
        return torch.cat(inputs, dim=1)
