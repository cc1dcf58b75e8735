"""Layers over sequences (B, L, D): plain PyTorch, and all that an exported model needs of this file.

Every layer keeps the length L. `hidden=None` means as wide as what comes in; a layer that reads both ways is twice as
wide as `hidden`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def turned(x: Tensor, mask: Tensor | None) -> Tensor:
    """The steps backwards, padding where it is: (B, L, D) -> the same; mask (B, L) is false at padding, at the end."""
    if mask is None:
        return x.flip(1)
    place = torch.arange(x.shape[1], device=x.device)
    back = mask.sum(dim=1, keepdim=True) - 1 - place
    return x.gather(1, torch.where(back < 0, place, back)[..., None].expand_as(x))


RUNS: dict[str, Callable[..., Any]] = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh}
"""What PyTorch's layers call, by their mode."""


class Recurrent(nn.Module):
    """What `Rnn`, `Lstm` and `Gru` share: PyTorch's own layer, of which only the sequence of states goes out."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, L, hidden), twice as wide when bidirectional; mask (B, L) is false at padding, at the end.

        Who reads forwards comes to padding last; who reads backwards starts at the end of the text.
        """
        if x.is_meta:  # all steps at once have the shapes and operations of a loop, which takes seconds there
            return self.layer(x.flatten(0, 1)[:, None])[0].view(*x.shape[:2], -1)  # type: ignore[no-any-return]
        if mask is None or not self.layer.bidirectional:
            out: Tensor = self.layer(x)[0]
            return out
        if x.is_cpu:  # where packed sequences have no fused kernel: an LSTM takes three times as long
            return self._both_ways(x, mask)
        packed = pack_padded_sequence(x, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.layer(packed)[0], batch_first=True, total_length=x.shape[1])[0]

    def _both_ways(self, x: Tensor, mask: Tensor) -> Tensor:
        """The layer, each direction by itself, the second on turned steps."""
        layer, run = self.layer, RUNS[self.layer.mode]
        start = x.new_zeros(1, len(x), layer.hidden_size)
        state = (start, start) if layer.mode == "LSTM" else start
        for i, (there, back) in enumerate(zip(layer.all_weights[::2], layer.all_weights[1::2], strict=True)):
            x = F.dropout(x, layer.dropout, self.training) if i else x
            ways = [
                run(steps, state, weights, True, 1, 0.0, self.training, False, True)[0]
                for steps, weights in ((x, there), (turned(x, mask), back))
            ]
            x = torch.cat([ways[0], turned(ways[1], mask)], dim=-1)
        return x


class Rnn(Recurrent):
    """Elman's network: (B, L, D) -> (B, L, hidden), h' = tanh(W x + U h + b) (Elman 1990).

    layers: how many stand on one another.  dropout: between them.
    """

    def __init__(
        self,
        *,
        in_features: int,
        hidden: int | None = None,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        between = dropout if layers > 1 else 0.0
        width = hidden or in_features
        super().__init__(nn.RNN(in_features, width, layers, "tanh", True, True, between, bidirectional))


class Lstm(Recurrent):
    """Long short-term memory: (B, L, D) -> (B, L, hidden) (Hochreiter & Schmidhuber 1997).

    layers: how many stand on one another.  dropout: between them.
    """

    def __init__(
        self,
        *,
        in_features: int,
        hidden: int | None = None,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        between = dropout if layers > 1 else 0.0
        width = hidden or in_features
        super().__init__(nn.LSTM(in_features, width, layers, True, True, between, bidirectional))


class Gru(Recurrent):
    """Gated recurrent unit: (B, L, D) -> (B, L, hidden) (Cho et al. 2014).

    layers: how many stand on one another.  dropout: between them.
    """

    def __init__(
        self,
        *,
        in_features: int,
        hidden: int | None = None,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        between = dropout if layers > 1 else 0.0
        width = hidden or in_features
        super().__init__(nn.GRU(in_features, width, layers, True, True, between, bidirectional))


def log_positive(x: Tensor) -> Tensor:
    """The logarithm of g(x) = x + 1/2 for x >= 0 and sigmoid(x) below, which is positive and has one slope at 0."""
    return torch.where(x >= 0, torch.log(F.relu(x) + 0.5), F.logsigmoid(x))


def scan_in_logs(log_keep: Tensor, log_new: Tensor) -> Tensor:
    """All of h[t] = keep[t] h[t-1] + new[t], h[-1] = 0, at once from the logarithms: (B, L, H) each (Heinsen 2023)."""
    kept = log_keep.cumsum(dim=1)
    return torch.exp(kept + torch.logcumsumexp(log_new - kept, dim=1))


class MinGruLayer(nn.Module):
    """One direction of one layer of `MinGru`: (B, L, D) -> (B, L, hidden)."""

    def __init__(self, in_features: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(in_features, hidden)
        self.state = nn.Linear(in_features, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """h[t] = (1 - z[t]) h[t-1] + z[t] g(state x[t]) with z = sigmoid(gate x), all steps at once."""
        gate, state = self.gate(x), self.state(x)
        precise = torch.promote_types(gate.dtype, torch.float32)  # 8 bits are too few for differences of long sums
        z, new = gate.to(precise), log_positive(state.to(precise))
        return scan_in_logs(F.logsigmoid(-z), F.logsigmoid(z) + new).to(gate.dtype)


class MinGru(nn.Module):
    """A GRU whose gate sees only the input: (B, L, D) -> (B, L, hidden), by a parallel scan (Feng et al. 2024).

    layers: how many stand on one another.  dropout: between them.
    """

    def __init__(
        self,
        *,
        in_features: int,
        hidden: int | None = None,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = hidden or in_features
        ways = 2 if bidirectional else 1
        widths = [in_features] + [ways * width] * (layers - 1)
        self.there = nn.ModuleList([MinGruLayer(before, width) for before in widths])
        self.back = nn.ModuleList([MinGruLayer(before, width) for before in widths] if bidirectional else [])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) -> (B, L, hidden), or twice that; mask (B, L) is false at padding, after a text."""
        for i, there in enumerate(self.there):
            x = self.dropout(x) if i else x
            forward = there(x)
            x = torch.cat([forward, turned(self.back[i](turned(x, mask)), mask)], dim=-1) if self.back else forward
        return x


class TemporalConv(nn.Module):
    """Two causal dilated convolutions beside a shortcut: (B, L, D) -> (B, L, features) (Bai et al. 2018, TCN).

    Each convolution is weight-normalised and followed by ReLU and dropout; step t sees only steps up to t.
    """

    def __init__(
        self,
        *,
        in_features: int,
        features: int | None = None,
        kernel: int = 3,
        dilation: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = features or in_features
        self.past = dilation * (kernel - 1)
        self.conv1 = weight_norm(nn.Conv1d(in_features, width, kernel, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(width, width, kernel, dilation=dilation))
        self.shortcut = nn.Identity() if width == in_features else nn.Conv1d(in_features, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, features)."""
        x = out = x.transpose(1, 2)
        for conv in (self.conv1, self.conv2):
            out = self.dropout(F.relu(conv(F.pad(out, (self.past, 0)))))
        return F.relu(out + self.shortcut(x)).transpose(1, 2)
