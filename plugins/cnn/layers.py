"""Layers over images (B, C, H, W) as frameworks have them: convolutions with a bias and windows that do not overlap.

Plain PyTorch, and all that an exported model needs of this file. In `blocks.py` a convolution comes with its
normalisation and keeps height and width; these are for networks as people write them by hand.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""Activations by name."""

POOLS: dict[str, type[nn.MaxPool2d] | type[nn.AvgPool2d]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


def one_of(what: str, name: str, known: dict[str, type[nn.Module]]) -> type[nn.Module]:
    """The class called `name`; raises ValueError with all names there are."""
    if name not in known:
        raise ValueError(f"expected {what} among {', '.join(known)}, got {name!r}")
    return known[name]


def padding_of(padding: str, kernel: int) -> int:
    """Zeros on each side: ``same`` keeps the size at stride 1, for an odd kernel; ``valid`` adds none."""
    if padding not in ("same", "valid"):
        raise ValueError(f"expected padding 'same' or 'valid', got {padding!r}")
    if padding == "same" and kernel % 2 == 0:
        raise ValueError(f"expected an odd kernel with padding 'same', got {kernel}")
    return kernel // 2 if padding == "same" else 0


class Conv2d(nn.Sequential):
    """Convolution with a bias, then an activation: (B, C, H, W) -> (B, channels, H', W').

    H' is H / stride rounded up with padding ``same``, (H - kernel) / stride + 1 rounded down with ``valid``.
    norm: batch normalisation between the two, in the place of the bias.

    Raises ValueError for an unknown padding or activation, or an even kernel with padding ``same``.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        padding: str = "same",
        norm: bool = False,
        activation: str = "relu",
    ) -> None:
        channels = channels or in_channels
        around = padding_of(padding, kernel)
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["conv"] = nn.Conv2d(in_channels, channels, kernel, stride, around, bias=not norm)
        if norm:
            parts["norm"] = nn.BatchNorm2d(channels)
        if activation != "none":
            parts["act"] = one_of("an activation", activation, ACTIVATIONS)()
        super().__init__(parts)


class Pool2d(nn.Sequential):
    """The largest or the mean of each window: (B, C, H, W) -> (B, C, H / size, W / size), rounded down.

    Windows do not overlap, and what is left at the edge falls off.  kind: ``max`` or ``avg``.

    Raises ValueError for an unknown kind.
    """

    def __init__(self, *, kind: str = "max", size: int = 2) -> None:
        super().__init__(one_of("a kind", kind, POOLS)(size))  # type: ignore[arg-type]


class GlobalPool(nn.Module):
    """The mean or the largest of each channel over the whole image: (B, C, H, W) -> (B, C).  kind: ``avg`` or ``max``.

    Raises ValueError for an unknown kind.
    """

    def __init__(self, *, kind: str = "avg") -> None:
        super().__init__()
        self.kind = kind
        one_of("a kind", kind, POOLS)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C)."""
        return x.mean(dim=(2, 3)) if self.kind == "avg" else x.amax(dim=(2, 3))

    def extra_repr(self) -> str:
        """The kind, for printing."""
        return f"kind={self.kind!r}"
