"""A toy network of each family, in plain PyTorch: what proxies are tried on."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

WIDTH, CLASSES, VOCABULARY = 8, 3, 16


class Residual(nn.Module):
    """Convolution, batch normalisation and ReLU, as a module and as a method, beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = self.second(self.first(x))
        return (x + out).relu()


class Attentive(nn.Module):
    """Self-attention and a feed-forward network beside shortcuts, with dropout, which proxies must not see."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        q, k, v = self.qkv(self.norm1(x))[:, None].chunk(3, dim=-1)
        mixed: Tensor = self.drop(self.out(functional.scaled_dot_product_attention(q, k, v)[:, 0]))
        x = x + mixed
        hidden: Tensor = self.drop(self.down(functional.gelu(self.up(self.norm2(x)))))
        return x + hidden


class Steps(nn.Module):
    """A recurrent layer: (B, L, D) -> (B, L, H)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(features, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, H)."""
        out: Tensor = self.layer(x)[0]
        return out


class Mean(nn.Module):
    """The mean of all places: (B, L, D) -> (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, D)."""
        return x.mean(dim=1)


def convolutional() -> nn.Module:
    """Images (B, 3, H, W) -> (B, classes)."""
    stem = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, CLASSES))
    return nn.Sequential(stem, Residual(), Residual(), head)


def recurrent() -> nn.Module:
    """Sequences (B, L, 4) -> (B, classes)."""
    return nn.Sequential(Steps(4), Steps(WIDTH), Mean(), nn.Linear(WIDTH, CLASSES))


def attentive() -> nn.Module:
    """Tokens (B, L) of 16 -> (B, classes)."""
    embedding = nn.Embedding(VOCABULARY, WIDTH)
    return nn.Sequential(embedding, Attentive(), Attentive(), Mean(), nn.Linear(WIDTH, CLASSES))
