"""What an exporter gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from nas.model.compile import Blueprint
from nas.space.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Exportable:
    """A trained network to be handed over.

    module: what `blueprint` built, trained.
    inputs: one example batch for each of the network's inputs, to compare outputs on.
    metadata: what else is known of it (accuracy, seed, ...), as JSON.
    """

    architecture: Architecture
    blueprint: Blueprint
    module: nn.Module
    inputs: tuple[Tensor, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
