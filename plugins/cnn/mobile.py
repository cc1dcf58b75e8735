"""Blocks for small devices over images (B, C, H, W): plain PyTorch, and all that an exported model needs of this file.

ShuffleNet V2 units (Ma et al., ECCV 2018) and Ghost convolutions (Han et al., CVPR 2020).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}
"""Activations by name; each gives zero for zero, on which the declared `keeps_zero` rests."""


def conv_norm(
    in_channels: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: str = "none"
) -> nn.Sequential:
    """Convolution, batch normalisation, activation; raises ValueError for an even kernel or unknown activation."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"expected an odd kernel, which keeps height and width, got {kernel}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"expected an activation among {', '.join(ACTIVATIONS)}, got {activation!r}")
    conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    act = [] if activation == "none" else [ACTIVATIONS[activation]()]
    return nn.Sequential(conv, nn.BatchNorm2d(channels), *act)


class ShuffleUnit(nn.Module):
    """Half of the channels convolved, then both halves shuffled: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    The convolved branch is pointwise, depthwise, pointwise; the other is passed on, or, where shapes change, is
    depthwise and pointwise and both branches see all channels (Ma et al. 2018, ShuffleNet V2).

    Raises ValueError for an odd number of channels, an even kernel or an unknown activation.
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
        super().__init__()
        channels = channels or in_channels
        self.splits = stride == 1 and channels == in_channels
        if channels % 2:
            raise ValueError(f"expected an even number of channels, which splits in halves, got {channels}")
        half, seen = channels // 2, channels // 2 if self.splits else in_channels
        self.branch = nn.Sequential(
            conv_norm(seen, half, 1, activation=activation),
            conv_norm(half, half, kernel, stride=stride, groups=half),
            conv_norm(half, half, 1, activation=activation),
        )
        self.shortcut: nn.Module = nn.Identity()
        if not self.splits:
            self.shortcut = nn.Sequential(
                conv_norm(seen, seen, kernel, stride=stride, groups=seen),
                conv_norm(seen, half, 1, activation=activation),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/stride, W/stride)."""
        passed, seen = x.chunk(2, dim=1) if self.splits else (x, x)
        out = torch.stack([self.shortcut(passed), self.branch(seen)], dim=2)
        return out.flatten(1, 2)


class GhostConv(nn.Module):
    """A convolution that makes most of its channels from others: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    One in `ratio` channels comes from a convolution, the others from a depthwise one of kernel `cheap` over those;
    each with batch normalisation and activation (Han et al. 2020, GhostNet).

    Raises ValueError for an even kernel, an unknown activation or a ratio below 2.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 1,
        stride: int = 1,
        ratio: int = 2,
        cheap: int = 3,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if ratio < 2:
            raise ValueError(f"expected a ratio of at least 2, got {ratio}")
        self.channels = channels or in_channels
        made = -(-self.channels // ratio)
        self.primary = conv_norm(in_channels, made, kernel, stride=stride, activation=activation)
        self.ghosts = conv_norm(made, made * (ratio - 1), cheap, groups=made, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/stride, W/stride)."""
        made = self.primary(x)
        return torch.cat([made, self.ghosts(made)], dim=1)[:, : self.channels]


class HardGate(nn.Module):
    """Channels weighed by a hard gate that sees their means: (B, C, H, W) -> the same (Howard et al. 2019)."""

    def __init__(self, in_channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, in_channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = x * self.gate(x)
        return out


class GhostBottleneck(nn.Module):
    """Widen and narrow by Ghost convolutions, beside a shortcut: (B, C, H, W) -> (B, channels, H/stride, W/stride).

    A depthwise convolution stands between them where there is a stride, then a gate `squeeze` times as wide as the
    middle (0 for none); the shortcut is depthwise and pointwise where shapes change (Han et al. 2020, GhostNet).

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        expansion: float = 3.0,
        squeeze: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels, wide = channels or in_channels, max(2, round(in_channels * expansion))
        body: OrderedDict[str, nn.Module] = OrderedDict()
        body["expand"] = GhostConv(in_channels=in_channels, channels=wide, activation=activation)
        if stride > 1:
            body["depthwise"] = conv_norm(wide, wide, kernel, stride=stride, groups=wide)
        if squeeze:
            body["gate"] = HardGate(wide, max(4, int(wide * squeeze + 2) // 4 * 4))
        body["project"] = GhostConv(in_channels=wide, channels=channels, activation="none")
        self.body = nn.Sequential(body)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != in_channels:
            self.shortcut = nn.Sequential(
                conv_norm(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
                conv_norm(in_channels, channels, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H/stride, W/stride)."""
        out: Tensor = self.body(x) + self.shortcut(x)
        return out
