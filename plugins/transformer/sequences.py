"""What makes sequences (B, L, D) and dresses them: patches, positions, norms: plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NORMS: dict[str, type[nn.Module]] = {"layer_norm": nn.LayerNorm, "rms_norm": nn.RMSNorm}
POSITIONS = ("learned", "sinusoidal", "rotary", "alibi", "none")


class PatchEmbedding(nn.Module):
    """Square patches of an image, each a vector: (B, C, H, W) -> (B, L, features) (Dosovitskiy et al. 2021, ViT).

    L is H / patch * W / patch, and one more with a `class_token`, which comes first.

    Raises ValueError for a patch that does not divide height and width.
    """

    def __init__(
        self, *, in_shape: tuple[int, ...], features: int = 64, patch: int = 4, class_token: bool = False
    ) -> None:
        super().__init__()
        channels, height, width = in_shape
        if patch < 1 or height % patch or width % patch:
            fit = ", ".join(str(n) for n in range(1, min(height, width) + 1) if height % n == width % n == 0)
            raise ValueError(f"expected a patch that divides {height} x {width} pixels ({fit}), got {patch}")
        self.project = nn.Conv2d(channels, features, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, features) * 0.02) if class_token else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, L, features)."""
        patches: Tensor = self.project(x).flatten(2).transpose(1, 2)
        if self.token is None:
            return patches
        return torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1)


class PositionEmbedding(nn.Module):
    """Adds a code of each position: (B, L, D) -> (B, L, D), for any L up to that it was made for.

    position: ``learned`` (Gehring et al. 2017; Devlin et al. 2019) or ``sinusoidal`` (Vaswani et al. 2017); nothing is
        added for ``rotary``, ``alibi`` and ``none``, so that one choice serves this block and attention.
    std: the deviation of learned codes at first; the 0.02 of long trainings leaves places alike in short ones.

    Raises ValueError for an unknown position.
    """

    codes: Tensor

    def __init__(
        self, *, in_features: int, in_length: int, position: str = "learned", std: float = 0.2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f"expected a position among {', '.join(POSITIONS)}, got {position!r}")
        self.added = position in ("learned", "sinusoidal")
        if position == "learned":
            self.codes = nn.Parameter(torch.randn(in_length, in_features) * std)
        elif position == "sinusoidal":
            self.register_buffer("codes", sinusoids(in_length, in_features), persistent=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        out: Tensor = self.drop(x + self.codes[: x.shape[1]] if self.added else x)
        return out


def sinusoids(length: int, features: int) -> Tensor:
    """Sines, then cosines, of positions at rates from 1 to 1 / 10,000: (L, D)."""
    rates = 10_000.0 ** -(torch.arange(0, features, 2) / features)
    angles = torch.outer(torch.arange(length), rates)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :features]


class FinalNorm(nn.Module):
    """The norm after a stack of ``pre`` or ``parallel`` layers; ``post`` layers need none: (..., D) -> the same.

    Its parameters are those of the layers, so that one choice serves both. Raises ValueError for an unknown one.
    """

    def __init__(self, *, in_features: int, norm: str = "layer_norm", order: str = "pre") -> None:
        super().__init__()
        if norm not in NORMS or order not in ("pre", "post", "parallel"):
            known = ", ".join(NORMS)
            raise ValueError(
                f"expected a norm among {known} and order pre, post or parallel, got {norm!r} and {order!r}"
            )
        self.norm = nn.Identity() if order == "post" else NORMS[norm](in_features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        out: Tensor = self.norm(x)
        return out


class LayerNorm(nn.LayerNorm):
    """Features to mean 0 and deviation 1, then scaled and shifted: (..., D) -> the same (Ba et al. 2016)."""

    def __init__(self, *, in_features: int) -> None:
        super().__init__(in_features)


class RMSNorm(nn.RMSNorm):
    """Features to mean square 1, then scaled: (..., D) -> the same (Zhang & Sennrich 2019)."""

    def __init__(self, *, in_features: int) -> None:
        super().__init__(in_features)
