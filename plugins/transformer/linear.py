"""Attention whose time and memory grow linearly with the length: plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK = 64


class LinearAttention(nn.Module):
    """Attention with elu(q) + 1 and elu(k) + 1 in place of the softmax: (B, L, D) -> (B, L, D).

    Keys and values are summed up once, or with `causal` up to each chunk, so that no L x L matrix is made
    (Katharopoulos et al. 2020).

    Raises ValueError for heads that don't divide D.
    """

    def __init__(self, *, in_features: int, heads: int = 4, causal: bool = False, bias: bool = True) -> None:
        super().__init__()
        if heads < 1 or in_features % heads:
            fit = ", ".join(str(n) for n in range(1, in_features + 1) if in_features % n == 0)
            raise ValueError(f"expected heads that divide {in_features} features ({fit}), got {heads} heads")
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(in_features, 3 * in_features, bias=bias)
        self.out = nn.Linear(in_features, in_features, bias=bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, L, D); mask (B, L) is false at padding, after the text."""
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, heads, L, D / heads)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        if mask is not None:
            k = k * mask[:, None, :, None]
        mix = causal_mix if self.causal else full_mix
        out: Tensor = self.out(mix(q, k, v).transpose(1, 2).flatten(2))
        return out


def full_mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Values weighed by q k^T over their sum, by way of k^T v; q and k are positive: thrice (..., L, E) -> the same."""
    total = q @ k.sum(dim=-2).unsqueeze(-1)
    return q @ (k.transpose(-1, -2) @ v) / total


def causal_mix(q: Tensor, k: Tensor, v: Tensor, chunk: int = CHUNK) -> Tensor:
    """As `full_mix`, for each position over itself and those before: thrice (..., L, E) -> the same.

    Inside a chunk by its small matrix, before it by the running sum of k^T v.
    """
    length = q.shape[-2]
    v = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)  # the last column adds the weights up
    short = -length % chunk
    q, k, v = (cut(functional.pad(part, (0, 0, 0, short)), chunk) for part in (q, k, v))
    states = k.transpose(-1, -2) @ v
    before = states.cumsum(dim=-3) - states
    mixed = (q @ k.transpose(-1, -2)).tril() @ v + q @ before
    mixed = mixed.flatten(-3, -2)[..., :length, :]
    return mixed[..., :-1] / mixed[..., -1:]


def cut(x: Tensor, chunk: int) -> Tensor:
    """(..., L, E) -> (..., L / chunk, chunk, E)."""
    return x.reshape(*x.shape[:-2], -1, chunk, x.shape[-1])
