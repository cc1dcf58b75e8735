"""What a network costs, and how large its weights are: proxies that look at no data."""

from __future__ import annotations

import copy

import torch
from torch import nn

from nas.model import count_flops, count_params
from nas.train.proxy import Batch

from .modes import weights


def params(network: nn.Module, batch: Batch) -> float:
    """How many numbers are learned: the baseline that few proxies beat (White et al. 2022, ICLR blog track)."""
    return count_params(network)


def flops(network: nn.Module, batch: Batch) -> float:
    """Operations of one forward pass for one example, counted on the meta device."""
    meta = copy.deepcopy(network).to("meta")
    return count_flops(meta, [x[:2].to("meta") for x in batch.x]) / min(2, len(batch))


def l2_norm(network: nn.Module, batch: Batch) -> float:
    """The sum of the norms of all weights at initialisation (Abdelfattah et al., ICLR 2021)."""
    return sum(float(torch.linalg.vector_norm(w.detach())) for w in weights(network))
