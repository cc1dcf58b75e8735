"""Synaptic flow: how much gets from the inputs to the outputs when every weight is positive; it needs no data.

The network has its weights' absolute values and ones for inputs: those of images and sequences, and those that
embeddings make of tokens. Normalisations over the batch or over places are left out, as in the papers. Those of the
features of one token, without which a Transformer's gates and attention overflow, only scale, by a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.train.proxy import Batch

from .modes import Args, Fed, Mode, gradients, weights

LEFT_OUT = {"batch_norm", "group_norm", "instance_norm"}


def synflow(network: nn.Module, batch: Batch) -> float:
    """The logarithm of the sum of |w dR/dw|, R being the sum of the outputs (Tanaka et al., NeurIPS 2020).

    Computed in double precision, for R grows with every layer.
    """
    return float(torch.stack([(w * g).sum() for w, g in _flows(network, batch)]).sum().log())


def logsynflow(network: nn.Module, batch: Batch) -> float:
    """As `synflow`, but the sum of |w log(1 + dR/dw)|, in which all layers count (Cavagnero et al., WACV 2023)."""
    return sum(float((w * torch.log1p(g)).sum()) for w, g in _flows(network, batch))


def _flows(network: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Each weight and its gradient of R, without a sign."""
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    one = Batch(tuple(x[:1].double() if x.is_floating_point() else x[:1] for x in batch.x), batch.y[:1], batch.target)
    of = weights(network)
    with _Unnormalised():
        out = Fed(one, torch.ones_like).run(network)
    return [(w.detach(), g.abs()) for w, g in zip(of, gradients(out.sum(), of), strict=True)]


class _Unnormalised(Mode):
    """What becomes of normalisations."""

    def called(self, name: str, func: Callable[..., Any], args: Args, kwargs: Mapping[str, Any]) -> Any:
        """See `Mode`."""
        if name in LEFT_OUT:
            return args[0] if args else kwargs["input"]
        if name in ("layer_norm", "rms_norm"):
            x: Tensor = args[0] if args else kwargs["input"]
            return x / x.detach().abs().amax(dim=-1, keepdim=True).clamp(min=1e-300)
        return func(*args, **kwargs)
