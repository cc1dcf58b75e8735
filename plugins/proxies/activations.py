"""Proxies that look at activations: how differently a fresh network treats the examples of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import CandidateError
from nas.train.proxy import Batch

from .modes import RECURRENT, Args, Fed, Mode, Watched, weights

MOVE = 0.01
"""How much of `zen`'s random input is changed: the paper's alpha."""

KINKED = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "threshold", "hardtanh", "hardswish", "hardsigmoid"),
    *("elu", "celu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "logsigmoid", "log_sigmoid"),
}
"""Activations; each treats numbers above zero otherwise than those below."""


def naswot(network: nn.Module, batch: Batch) -> float:
    """How well examples are told apart by the sides of zero on which activations find them (Mellor et al., ICML 2021).

    The logarithm of the determinant of the matrix that counts, for each two examples, the activations on whose one side
    both lie: ReLU and its relatives, sigmoid and tanh by what comes in, recurrent layers by what goes out.
    """
    agreed: list[Tensor] = []

    def see(name: str, given: Tensor, out: Tensor) -> None:
        side = out if name in RECURRENT else given
        if len(side) == len(batch):
            above = (side > 0).flatten(1).float()
            count = above.sum(1)
            agreed.append((above.shape[1] - count[:, None] - count + 2 * above @ above.T).double())

    with torch.no_grad(), Watched(KINKED | RECURRENT, see):
        network(*batch.x)
    if not agreed:
        raise CandidateError("it has no activation that has two sides, as ReLU, GELU or tanh")
    return float(torch.linalg.slogdet(torch.stack(agreed).sum(0)).logabsdet)


def zen(network: nn.Module, batch: Batch) -> float:
    """How far features move with a small change of random inputs, weights being normal (Lin et al., ICCV 2021).

    The logarithm of the distance between the last features with places, before they are pooled, and of the deviations
    that batch normalisations took out of it. Shortcuts stay, unlike in the paper, where the network is a chain.
    """
    with torch.no_grad():
        for weight in weights(network):
            weight.normal_()
        still, moved = _Features(len(batch)), _Features(len(batch))
        with still:
            (fed := Fed(batch, torch.randn_like)).run(network)
        if not still.deviations:
            raise CandidateError("it has no batch normalisation, whose deviations the score is made of")
        noise = iter(fed.given)
        with moved:
            Fed(batch, lambda x: next(noise) + MOVE * torch.randn_like(x)).run(network)
        distance = (still.last - moved.last).abs().flatten(1).sum(1).mean()
        return float(distance.log() + torch.stack(still.deviations).log().sum())


class _Features(Mode):
    """The deviation that each batch normalisation divides by, and the last value with places (pixels, steps) after it.

    Where nothing has places, as in a perceptron, what the last normalisation gives.
    """

    def __init__(self, examples: int) -> None:
        super().__init__()
        self.examples = examples
        self.last = torch.empty(0)
        self.deviations: list[Tensor] = []

    def called(self, name: str, func: Callable[..., Any], args: Args, kwargs: Mapping[str, Any]) -> Any:
        """See `Mode`."""
        if name == "batch_norm":
            x = args[0] if args else kwargs["input"]
            variance = x.transpose(0, 1).flatten(1).var(1, correction=0).mean()
            if variance > 0:  # else nothing comes in that could be scaled
                self.deviations.append(variance.sqrt())
        out = func(*args, **kwargs)
        if name == "batch_norm" or (self.deviations and self._has_places(out)):
            self.last = out
        return out

    def _has_places(self, out: Any) -> bool:
        return isinstance(out, Tensor) and out.ndim > 2 and len(out) == self.examples and out[0, 0].numel() > 1
