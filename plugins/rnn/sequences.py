"""Into sequences (B, L, D), out of them, and scores of tokens: plain PyTorch, ready for an exported model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Embedding(nn.Embedding):
    """A learned vector for each token: tokens (B, L) of a vocabulary of V -> (B, L, features).

    dropout: the share of numbers that are zero while training.  padding: the token whose vector stays zero, if any.
    std: the deviation of the first weights; small where `VocabularyHead` shares them.
    """

    def __init__(
        self,
        *,
        vocabulary: int = 256,
        features: int = 64,
        dropout: float = 0.0,
        padding: int | None = None,
        std: float = 1.0,
    ) -> None:
        super().__init__(vocabulary, features, padding)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            self.weight.mul_(std)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) -> (B, L, features)."""
        out: Tensor = self.dropout(super().forward(tokens))
        return out


class VocabularyHead(nn.Module):
    """A score for each of V tokens at every position: (B, L, D) -> (B, L, V).

    Wired to an embedding's output as well, it has that embedding's weights instead of its own and learns a bias only
    (Press & Wolf 2017); the numbers on that second port are not read.

    Raises ValueError when the embedding has other features or another vocabulary.
    """

    def __init__(
        self, *, in_features: int, tied_to: nn.Embedding | None = None, vocabulary: int = 256, bias: bool = True
    ) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None
        if tied_to is None:
            self.weight = nn.Parameter(torch.empty(vocabulary, in_features))
            nn.init.normal_(self.weight, std=in_features**-0.5)
        elif tied_to.weight.shape != (vocabulary, in_features):
            shape = tuple(tied_to.weight.shape)
            raise ValueError(f"expected an embedding of {vocabulary} tokens in {in_features} features, got {shape}")
        self.tied = () if tied_to is None else (tied_to,)  # in a tuple: not a submodule, so saved and counted once

    def forward(self, x: Tensor, *tied: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, V)."""
        weight = self.tied[0].weight if self.tied else self.weight
        return F.linear(x, weight, self.bias)


class LastStep(nn.Module):
    """The last step: (B, L, D) -> (B, D).

    bidirectional: the first half of the features from the last step, the other half, which was read backwards, from
        the first: each from where it has seen everything.
    """

    def __init__(self, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.bidirectional = bidirectional

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, D); mask (B, L) is false at padding, after the text."""
        last = x[:, -1] if mask is None else x[torch.arange(len(x), device=x.device), mask.sum(dim=1) - 1]
        if not self.bidirectional:
            return last
        half = x.shape[-1] // 2
        return torch.cat([last[:, :half], x[:, 0, half:]], dim=-1)


class MeanOverTime(nn.Module):
    """The mean of all steps: (B, L, D) -> (B, D)."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, D); mask (B, L) is false at padding, after the text."""
        return x.mean(dim=1) if mask is None else (x * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


class MaxOverTime(nn.Module):
    """The largest of all steps, for each feature: (B, L, D) -> (B, D)."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, D); mask (B, L) is false at padding, after the text."""
        return (x if mask is None else x.masked_fill(~mask[..., None], float("-inf"))).amax(dim=1)


class AttentionPool(nn.Module):
    """A mean of all steps weighed by learned attention: (B, L, D) -> (B, D) (Yang et al. 2016).

    The weights are softmax(v tanh(W x + b)) over the steps, `hidden` wide inside.
    """

    def __init__(self, *, in_features: int, hidden: int | None = None) -> None:
        super().__init__()
        width = hidden or in_features
        self.score = nn.Sequential(nn.Linear(in_features, width), nn.Tanh(), nn.Linear(width, 1, bias=False))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, D); mask (B, L) is false at padding, after the text."""
        scores: Tensor = self.score(x)
        if mask is not None:
            scores = scores.masked_fill(~mask[..., None], float("-inf"))
        return (torch.softmax(scores, dim=1) * x).sum(dim=1)


class ImageToSequence(nn.Module):
    """The rows of an image as steps: (B, C, H, W) -> (B, H, C * W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H, C * W)."""
        return x.transpose(1, 2).flatten(2)
