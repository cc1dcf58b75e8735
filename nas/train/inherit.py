"""Weights of a network trained before, as the beginning of another."""

from __future__ import annotations

import struct

import torch
from torch import Tensor, nn

from nas.errors import ConfigError
from nas.model import Blueprint
from nas.model.weights import read_weights
from nas.train.start import WEIGHTS, exported_folder


def read_start(place: str) -> dict[str, Tensor]:
    """The weights of the exported network in folder `place`, or in ``best`` of the run there; raises ConfigError."""
    file = exported_folder(place) / WEIGHTS
    try:
        return read_weights(file)
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ConfigError(f"training option 'init': {file} cannot be read: {error}") from error


@torch.no_grad()
def inherit(network: nn.Module, plan: Blueprint, start: dict[str, Tensor]) -> int:
    """Copies the weights whose names and shapes agree into `network`; says how many numbers to learn these are.

    The blocks that give the answer start fresh: it is an answer to another question.
    """
    fresh = tuple(f"{name}." for name in plan.output_submodules)
    learned = dict(network.named_parameters())
    count = 0
    for name, tensor in network.state_dict().items():
        theirs = start.get(name)
        inside = "." in name and not name.startswith(fresh)  # what is not inside a block are the data's units
        if inside and theirs is not None and theirs.shape == tensor.shape:
            tensor.copy_(theirs)
            count += tensor.numel() if name in learned else 0
    return count
