"""Convolutions and pools over sequences (B, L, D) such as sound and time series: plain PyTorch, ready for export.

The step is the axis along which they slide, the features are their channels. `features=None` means as many as come in.
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
}
"""Activations by name; each gives zero for zero."""

POOLS: dict[str, type[nn.MaxPool1d] | type[nn.AvgPool1d]] = {"max": nn.MaxPool1d, "avg": nn.AvgPool1d}


def make_activation(name: str) -> nn.Module:
    """The activation called `name`; raises ValueError with all names there are."""
    if name not in ACTIVATIONS:
        raise ValueError(f"expected an activation among {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()


def same_padding(kernel: int, dilation: int = 1) -> int:
    """The padding that keeps L at stride 1; only an odd kernel has one."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"expected an odd kernel, which keeps the length, got {kernel}")
    return dilation * (kernel - 1) // 2


class Conv1d(nn.Module):
    """Convolution with a bias, then an activation: (B, L, D) -> (B, L', features).

    L' is L / stride rounded up with padding ``same``, what the kernel finds room for with ``valid``.
    norm: batch normalisation between the two, in the place of the bias.

    Raises ValueError for an unknown padding or activation, an even kernel with padding ``same``, or groups that do not
    divide the features.
    """

    def __init__(
        self,
        *,
        in_features: int,
        features: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: str = "same",
        norm: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if padding not in ("same", "valid"):
            raise ValueError(f"expected padding 'same' or 'valid', got {padding!r}")
        features = features or in_features
        around = same_padding(kernel, dilation) if padding == "same" else 0
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["conv"] = nn.Conv1d(in_features, features, kernel, stride, around, dilation, groups, bias=not norm)
        if norm:
            parts["norm"] = nn.BatchNorm1d(features)
        if activation != "none":
            parts["act"] = make_activation(activation)
        self.body = nn.Sequential(parts)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L', features)."""
        out: Tensor = self.body(x.transpose(1, 2)).transpose(1, 2)
        return out


class Pool1d(nn.Module):
    """The largest or the mean of each window: (B, L, D) -> (B, L / size, D), rounded down.

    Windows do not overlap, and what is left at the end falls off.  kind: ``max`` or ``avg``.

    Raises ValueError for an unknown kind.
    """

    def __init__(self, *, kind: str = "max", size: int = 2) -> None:
        super().__init__()
        if kind not in POOLS:
            raise ValueError(f"expected a kind among {', '.join(POOLS)}, got {kind!r}")
        self.pool = POOLS[kind](size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L / size, D)."""
        out: Tensor = self.pool(x.transpose(1, 2)).transpose(1, 2)
        return out


class SeparableConv1d(nn.Module):
    """Depthwise, pointwise, batch normalisation and activation: (B, L, D) -> (B, L / stride, features).

    Depthwise-separable convolution (Chollet 2017) along time.

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_features: int,
        features: int | None = None,
        kernel: int = 9,
        stride: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        features, around = features or in_features, same_padding(kernel)
        self.body = nn.Sequential(
            nn.Conv1d(in_features, in_features, kernel, stride, around, groups=in_features, bias=False),
            nn.Conv1d(in_features, features, 1, bias=False),
            nn.BatchNorm1d(features),
            make_activation(activation),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L / stride, features)."""
        out: Tensor = self.body(x.transpose(1, 2)).transpose(1, 2)
        return out


class Residual1d(nn.Module):
    """Two convolutions beside a shortcut: (B, L, D) -> (B, L / stride, features).

    Convolutions with batch normalisation, the first with the stride; the shortcut projects where shapes differ
    (He et al. 2016, along time as in Wang et al. 2017).

    Raises ValueError for an even kernel or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_features: int,
        features: int | None = None,
        kernel: int = 9,
        stride: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        features, around = features or in_features, same_padding(kernel)
        self.body = nn.Sequential(
            nn.Conv1d(in_features, features, kernel, stride, around, bias=False),
            nn.BatchNorm1d(features),
            make_activation(activation),
            nn.Conv1d(features, features, kernel, padding=around, bias=False),
            nn.BatchNorm1d(features),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or features != in_features:
            project = nn.Conv1d(in_features, features, 1, stride, bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm1d(features))
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L / stride, features)."""
        x = x.transpose(1, 2)
        out: Tensor = self.act(self.body(x) + self.shortcut(x)).transpose(1, 2)
        return out
