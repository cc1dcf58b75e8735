"""Proxies made of the gradients of a network's output by its inputs, an example each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.errors import CandidateError
from nas.train.proxy import Batch

from .modes import Fed, gradients

NEARLY_ZERO = 1e-5
MANY_CLASSES = 100


def jacob_cov(network: nn.Module, batch: Batch) -> float:
    """How little examples' gradients have in common (Mellor et al. 2020, the first version of NASWOT).

    From the eigenvalues of their correlations, each least where it is 1: -sum(log v + 1/v).
    """
    values = torch.linalg.eigvalsh(torch.corrcoef(jacobian(network, batch))) + NEARLY_ZERO
    return -float((values.log() + 1 / values).sum())


def epe(network: nn.Module, batch: Batch) -> float:
    """How gradients of examples of one class correlate, class by class (Lopes et al. 2021, EPE-NAS)."""
    y = batch.y
    if y.ndim != 1 or y.is_floating_point():
        raise CandidateError("it needs a task that asks for one class an example")
    rows = jacobian(network, batch)
    classes = [rows[y == label] for label in torch.unique(y)]
    sums = [(torch.corrcoef(part).abs() + NEARLY_ZERO).log().sum() for part in classes if len(part) > 1]
    if not sums:
        raise CandidateError("it needs two examples of some class in the batch")
    found = torch.stack(sums)
    if len(classes) <= MANY_CLASSES:
        return float(found.abs().sum())
    return float((found[:, None] - found).abs().sum() / len(found))


def jacobian(network: nn.Module, batch: Batch) -> Tensor:
    """The gradient of the summed outputs by all inputs of each example, or by what embeddings make of them: (B, D)."""
    fed = Fed(batch, lambda x: x.detach().requires_grad_())
    found = gradients(fed.run(network).sum(), fed.given)
    return torch.cat([g.flatten(1) for g in found], dim=1).double()
