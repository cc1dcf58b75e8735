"""A recurrent layer whose cell is a graph of its own, and what such cells are made of: plain PyTorch over (B, H).

The blocks of Klyuchnikov et al. 2022, NAS-Bench-NLP: linear, blend, product, and beside them sum and activations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Recurrence(nn.Module):
    """A cell run step after step: (B, L, D) -> (B, L, hidden).

    cell: takes x (B, D) and `states` states (B, hidden), which start at zero, and gives the new states side by side,
        (B, states * hidden); the first of them goes out. Without one, Elman's cell.

    Raises ValueError for a cell that gives anything else.
    """

    def __init__(
        self, *, in_features: int, cell: nn.Module | None = None, hidden: int | None = None, states: int = 1
    ) -> None:
        super().__init__()
        self.hidden = hidden or in_features
        self.states = states
        self.cell = nn.RNNCell(in_features, self.hidden) if cell is None else cell

    @staticmethod
    def cell_inputs(in_features: int, hidden: int | None, states: int) -> list[tuple[str, tuple[int, ...]]]:
        """The ports of the cell: x, then the states."""
        return [("vector", (in_features,)), *[("vector", (hidden or in_features,))] * states]

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, hidden)."""
        if x.is_meta:  # all steps at once have the shapes and operations of a loop, which takes long there
            return self._step(x.flatten(0, 1), self._start(x.flatten(0, 1)))[0].view(*x.shape[:2], -1)
        states, steps = self._start(x), []
        for now in x.unbind(1):
            states = self._step(now, states)
            steps.append(states[0])
        return torch.stack(steps, dim=1)

    def _start(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x.new_zeros(x.shape[0], self.hidden),) * self.states

    def _step(self, now: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        new: Tensor = self.cell(now, *states)
        if new.shape[-1] != self.states * self.hidden:
            wanted = f"{self.states} states of {self.hidden} features side by side"
            raise ValueError(f"expected {wanted} from the cell, got {new.shape[-1]} features")
        return torch.split(new, self.hidden, dim=1) if self.states > 1 else (new,)


class CellLinear(nn.Module):
    """The sum of a linear map of each input and one bias: n of (B, D_i) -> (B, features).

    features: None is as wide as the last input of the graph in which the block stands, in a cell its state.
    """

    def __init__(
        self,
        *,
        in_shapes: tuple[tuple[int, ...], ...],
        graph_features: int,
        features: int | None = None,
    ) -> None:
        super().__init__()
        width = features or graph_features
        bound = width**-0.5
        self.weights = nn.ParameterList([torch.empty(shape[-1], width).uniform_(-bound, bound) for shape in in_shapes])
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, *inputs: Tensor) -> Tensor:
        """N of (B, D_i) -> (B, features)."""
        out: Tensor = self.bias
        for x, weight in zip(inputs, self.weights, strict=True):
            out = torch.addmm(out, x, weight)
        return out


class Blend(nn.Module):
    """Two values mixed by a gate: gate * x + (1 - gate) * y, of one shape."""

    def forward(self, gate: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Equal shapes -> that shape."""
        return gate * x + (1 - gate) * y


class Product(nn.Module):
    """The product of any number of inputs of one shape, element by element."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Equal shapes -> that shape."""
        out = first
        for other in others:
            out = out * other
        return out


class Pack(nn.Module):
    """Vectors side by side, in their order: n of (B, D_i) -> (B, sum of D_i)."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """N of (B, D_i) -> (B, sum of D_i)."""
        return torch.cat([first, *others], dim=-1) if others else first
