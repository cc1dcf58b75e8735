"""Proxies made of gradients of the loss on one batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.errors import CandidateError
from nas.train.proxy import Batch

from .modes import RECURRENT, Watched, gradients, weights

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
LAYERS = {*CONVOLUTIONS, "linear", "addmm", *RECURRENT}


def grad_norm(network: nn.Module, batch: Batch) -> float:
    """The sum of the norms of the weights' gradients (Abdelfattah et al., ICLR 2021)."""
    return sum(float(torch.linalg.vector_norm(g)) for g in gradients(batch.loss(network), weights(network)))


def snip(network: nn.Module, batch: Batch) -> float:
    """How much the loss hangs on each weight's presence: the sum of |w dL/dw| (Lee et al., ICLR 2019)."""
    return sum(float((w * g).detach().abs().sum()) for w, g in _pairs(network, batch))


def plain(network: nn.Module, batch: Batch) -> float:
    """The sum of w dL/dw with its signs (Mozer & Smolensky 1989, as in Abdelfattah et al., ICLR 2021)."""
    return sum(float((w * g).detach().sum()) for w, g in _pairs(network, batch))


def grasp(network: nn.Module, batch: Batch) -> float:
    """What the norm of the gradient loses without each weight: the sum of -w Hg (Wang et al., ICLR 2020)."""
    of = weights(network)
    with _twice_differentiable():
        slopes = gradients(batch.loss(network), of, create_graph=True)
        norm = sum((g * g.detach()).sum() for g in slopes)
        assert isinstance(norm, Tensor)
        bent = gradients(norm, of)
    return -sum(float((w * h).detach().sum()) for w, h in zip(of, bent, strict=True))


def fisher(network: nn.Module, batch: Batch) -> float:
    """The squared effect of each channel on the loss, half the mean over examples (Theis et al. 2018; Turner 2020).

    Channels are those of every linear map, convolution and recurrent layer.
    """
    channels: list[tuple[bool, Tensor]] = []

    def see(name: str, given: Tensor, out: Tensor) -> None:
        if out.requires_grad:
            channels.append((name in CONVOLUTIONS, out))

    with Watched(LAYERS, see):
        loss = batch.loss(network)
    if not channels:
        raise CandidateError("it has no linear map, convolution or recurrent layer that has channels")
    slopes = gradients(loss, [out for _, out in channels])
    return sum(_information(out * g, first) for (first, out), g in zip(channels, slopes, strict=True))


def _information(effect: Tensor, channels_first: bool) -> float:
    rows = (
        effect.detach().flatten(2).sum(2)
        if channels_first
        else effect.detach().reshape(len(effect), -1, effect.shape[-1]).sum(1)
    )
    return float(rows.square().mean(0).sum() / 2)


def _pairs(network: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    of = weights(network)
    return list(zip(of, gradients(batch.loss(network), of), strict=True))


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Attention and recurrence from plain operations: the fused ones have no second derivative."""
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield
