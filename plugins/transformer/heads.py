"""What turns sequences (B, L, D) into answers: plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

POOLS = ("mean", "first", "last")


class SequenceHead(nn.Module):
    """Scores of classes or values of a regression: (B, L, D) or (B, D) -> (B, outputs).

    pool: the ``mean`` of all positions, the ``first`` (a class token, Devlin et al. 2019) or the ``last`` (Radford et
        al. 2018); a vector needs none.

    Raises ValueError for an unknown pool.
    """

    def __init__(self, *, in_features: int, outputs: int = 10, pool: str = "mean", dropout: float = 0.0) -> None:
        super().__init__()
        if pool not in POOLS:
            raise ValueError(f"expected a pool among {', '.join(POOLS)}, got {pool!r}")
        self.pool = pool
        self.drop = nn.Dropout(dropout)
        self.linear = nn.Linear(in_features, outputs)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) or (B, D) -> (B, outputs); mask (B, L) is false at padding, after the text."""
        out: Tensor = self.linear(self.drop(self._pooled(x, mask) if x.dim() == 3 else x))
        return out

    def _pooled(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.pool == "first":
            return x[:, 0]
        if mask is None:
            return x.mean(dim=1) if self.pool == "mean" else x[:, -1]
        count = mask.sum(dim=1)
        if self.pool == "mean":
            return (x * mask[..., None]).sum(dim=1) / count[:, None]
        return x[torch.arange(len(x), device=x.device), count - 1]


class MaskedTokenHead(nn.Sequential):
    """Scores of the token hidden at each position: (B, L, D) -> (B, L, vocabulary) (Devlin et al. 2019, BERT).

    Linear, GELU and layer norm come before the scores.
    """

    def __init__(self, *, in_features: int, vocabulary: int = 256) -> None:
        super().__init__(
            nn.Linear(in_features, in_features),
            nn.GELU(),
            nn.LayerNorm(in_features),
            nn.Linear(in_features, vocabulary),
        )
