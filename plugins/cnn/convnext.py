"""ConvNeXt over images (B, C, H, W), and stochastic depth: plain PyTorch, ready for an exported model.

Liu et al., CVPR 2022; Huang et al., ECCV 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Whole examples to zero with probability `rate` while training, the others scaled up: of any shape.

    Stochastic depth (Huang et al. 2016): put before a sum, it drops a branch for some examples. Raises ValueError for a
    rate outside [0, 1).
    """

    def __init__(self, *, rate: float = 0.1) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"expected a rate of at least 0 and below 1, got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        if not self.training or not self.rate:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1 - self.rate)

    def extra_repr(self) -> str:
        """The rate, for printing."""
        return f"rate={self.rate}"


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel: (B, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Depthwise convolution and a feed-forward network at each pixel, beside a shortcut: (B, C, H, W) -> the same.

    Depthwise convolution, layer normalisation, pointwise to `ratio` times the channels, GELU, pointwise back, scaled by
    a learned number a channel that starts at `scale` (0 for no such numbers), dropped with probability `drop_path`
    (Liu et al. 2022).

    Raises ValueError for an even kernel.
    """

    def __init__(
        self, *, in_channels: int, kernel: int = 7, ratio: int = 4, scale: float = 1e-6, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"expected an odd kernel, which keeps height and width, got {kernel}")
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, kernel, padding=kernel // 2, groups=in_channels),
            ChannelNorm(in_channels, eps=1e-6),
            nn.Conv2d(in_channels, ratio * in_channels, 1),
            nn.GELU(),
            nn.Conv2d(ratio * in_channels, in_channels, 1),
        )
        self.scale = nn.Parameter(torch.full((in_channels, 1, 1), scale)) if scale else None
        self.drop_path = DropPath(rate=drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = self.body(x)
        if self.scale is not None:
            out = out * self.scale
        dropped: Tensor = self.drop_path(out)
        return x + dropped


class PatchConv(nn.Sequential):
    """A convolution over patches that do not overlap: (B, C, H, W) -> (B, channels, H / size, W / size).

    ConvNeXt's stem (size 4, normalised after) and what halves between its stages (size 2, normalised before); H and W
    are rounded down and `channels=None` doubles the channels.  norm_first: layer normalisation before the convolution,
    else after it.
    """

    def __init__(
        self, *, in_channels: int, channels: int | None = None, size: int = 2, norm_first: bool = True
    ) -> None:
        channels = channels or 2 * in_channels
        conv = nn.Conv2d(in_channels, channels, size, size)
        norm = ChannelNorm(in_channels if norm_first else channels, eps=1e-6)
        super().__init__(*((norm, conv) if norm_first else (conv, norm)))
