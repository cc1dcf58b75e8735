"""Blocks over vectors (B, D), most of them over sequences (B, L, D) too: plain PyTorch, ready for an exported model."""

from __future__ import annotations

from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""Activations by name; each gives zero for zero, on which the declared `keeps_zero` rests."""


class Linear(nn.Linear):
    """A linear map of the last axis, with a bias: (B, D) -> (B, features), (B, L, D) -> (B, L, features)."""

    def __init__(self, *, in_features: int, features: int | None = None, bias: bool = True) -> None:
        super().__init__(in_features, features or in_features, bias)


class Activation(nn.Module):
    """The activation called `kind`, element by element, of any shape. Raises ValueError for an unknown one."""

    def __init__(self, *, kind: str = "relu") -> None:
        super().__init__()
        if kind not in ACTIVATIONS:
            raise ValueError(f"expected an activation among {', '.join(ACTIVATIONS)}, got {kind!r}")
        self.activation = ACTIVATIONS[kind]()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        out: Tensor = self.activation(x)
        return out


class LeakyReLU(nn.LeakyReLU):
    """max(x, slope x), element by element, of any shape."""

    def __init__(self, *, slope: float = 0.01) -> None:
        super().__init__(slope)


class Dropout(nn.Dropout):
    """Zeros in the place of a share `rate` of the numbers while training, of any shape (Srivastava et al. 2014)."""

    def __init__(self, *, rate: float = 0.5) -> None:
        super().__init__(rate)


class BatchNormVector(nn.BatchNorm1d):
    """Batch normalisation of every feature: (B, D) -> (B, D) (Ioffe & Szegedy 2015)."""

    def __init__(self, *, in_features: int) -> None:
        super().__init__(in_features)


class Flatten(nn.Flatten):
    """All numbers of an example in a row: (B, ...) -> (B, D)."""

    def __init__(self) -> None:
        super().__init__()
