"""Several inputs joined: plain PyTorch.

Inputs are sequences (B, L, D) and vectors (B, D), each with its own L and D. Where vectors are needed a sequence is its
mean, and where sequences are needed a vector is one position. Masks (B, L) are false at padding, None where there is
none; no mask at all says so of every input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Shapes = tuple[tuple[int, ...], ...]


def widths(shapes: Shapes) -> list[int]:
    """D of each input; raises ValueError for fewer than two."""
    if len(shapes) < 2:
        raise ValueError(f"expected at least two inputs to join, got {len(shapes)}")
    return [shape[-1] for shape in shapes]


Masks = tuple[Tensor | None, ...]


def pooled(inputs: tuple[Tensor, ...], masks: Masks) -> list[Tensor]:
    """Each (B, L, D), or (B, D) -> (B, D)."""
    return [
        x if x.dim() == 2 else x.mean(dim=1) if mask is None else (x * mask[..., None]).sum(1) / mask.sum(1)[:, None]
        for x, mask in zip(inputs, masks or (None,) * len(inputs), strict=True)
    ]


def filled(inputs: tuple[Tensor, ...], masks: Masks) -> list[Tensor]:
    """The mask of each input, true everywhere where there was none: each (B, L), with L of 1 for a vector."""
    return [
        torch.ones(x.shape[:2] if x.dim() == 3 else (len(x), 1), dtype=torch.bool, device=x.device)
        if mask is None
        else mask
        for x, mask in zip(inputs, masks, strict=True)
    ]


class ConcatFusion(nn.Module):
    """Vectors side by side: n of (B, L_i, D_i) or (B, D_i) -> (B, sum of D_i).

    Raises ValueError for fewer than two inputs.
    """

    def __init__(self, *, in_shapes: Shapes) -> None:
        super().__init__()
        widths(in_shapes)

    def forward(self, *inputs: Tensor, masks: Masks = ()) -> Tensor:
        """N of (B, L_i, D_i) or (B, D_i) -> (B, sum of D_i)."""
        return torch.cat(pooled(inputs, masks), dim=-1)


class SumFusion(nn.Module):
    """The sum of a linear map of each input: n of (B, L_i, D_i) or (B, D_i) -> (B, features).

    Raises ValueError for fewer than two inputs.
    """

    def __init__(self, *, in_shapes: Shapes, features: int = 64) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(width, features) for width in widths(in_shapes))

    def forward(self, *inputs: Tensor, masks: Masks = ()) -> Tensor:
        """N of (B, L_i, D_i) or (B, D_i) -> (B, features)."""
        vectors = pooled(inputs, masks)
        return torch.stack([linear(x) for linear, x in zip(self.maps, vectors, strict=True)]).sum(dim=0)


class GatedFusion(nn.Module):
    """Gated multimodal unit: n of (B, L_i, D_i) or (B, D_i) -> (B, features) (Arevalo et al. 2017).

    Each input gives a tanh of a linear map, multiplied by a sigmoid gate that sees all inputs; these are added.

    Raises ValueError for fewer than two inputs.
    """

    def __init__(self, *, in_shapes: Shapes, features: int = 64) -> None:
        super().__init__()
        each = widths(in_shapes)
        self.maps = nn.ModuleList(nn.Linear(width, features) for width in each)
        self.gates = nn.Linear(sum(each), len(each) * features)

    def forward(self, *inputs: Tensor, masks: Masks = ()) -> Tensor:
        """N of (B, L_i, D_i) or (B, D_i) -> (B, features)."""
        vectors = pooled(inputs, masks)
        hidden = torch.stack([linear(x).tanh() for linear, x in zip(self.maps, vectors, strict=True)], dim=1)
        gates = self.gates(torch.cat(vectors, dim=-1)).sigmoid().view_as(hidden)
        out: Tensor = (gates * hidden).sum(dim=1)
        return out


class CrossFusion(nn.Module):
    """Each input attends to all the others: n of (B, L_i, D_i) or (B, D_i) -> (B, sum of L_i, features).

    Inputs are mapped to one width and normalised; each is added to what it finds in the others (co-attention, Lu et al.
    2019, ViLBERT), and all stand one after the other in one sequence.

    Raises ValueError for fewer than two inputs, or heads that don't divide the features.
    """

    def __init__(self, *, in_shapes: Shapes, features: int = 64, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or features % heads:
            fit = ", ".join(str(n) for n in range(1, features + 1) if features % n == 0)
            raise ValueError(f"expected heads that divide {features} features ({fit}), got {heads} heads")
        each = widths(in_shapes)
        self.heads = heads
        self.maps = nn.ModuleList(nn.Linear(width, features) for width in each)
        self.norms = nn.ModuleList(nn.LayerNorm(features) for _ in each)
        self.qkv = nn.ModuleList(nn.Linear(features, 3 * features) for _ in each)
        self.out = nn.ModuleList(nn.Linear(features, features) for _ in each)

    def forward(self, *inputs: Tensor, masks: Masks = ()) -> Tensor:
        """N of (B, L_i, D_i) or (B, D_i) -> (B, sum of L_i, features)."""
        mapped = [linear(x if x.dim() == 3 else x[:, None]) for linear, x in zip(self.maps, inputs, strict=True)]
        parts = [
            qkv(norm(x)).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            for qkv, norm, x in zip(self.qkv, self.norms, mapped, strict=True)
        ]
        read = filled(inputs, masks) if masks else []
        found = []
        for i, (x, out) in enumerate(zip(mapped, self.out, strict=True)):
            keys, values = (torch.cat([p[j] for p in parts[:i] + parts[i + 1 :]], dim=-2) for j in (1, 2))
            mask = torch.cat(read[:i] + read[i + 1 :], dim=1)[:, None, None] if read else None
            seen = functional.scaled_dot_product_attention(parts[i][0], keys, values, attn_mask=mask)
            found.append(x + out(seen.transpose(1, 2).flatten(2)))
        return torch.cat(found, dim=1)

    def output_mask(self, *inputs: Tensor, masks: Masks) -> Tensor:
        """What of the output is no padding: N of (B, L_i, D_i) or (B, D_i) -> (B, sum of L_i)."""
        return torch.cat(filled(inputs, masks), dim=1)
