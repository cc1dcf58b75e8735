"""From an architecture to a plain PyTorch module, its costs and its source."""

from nas.model.compile import Blueprint, blueprint
from nas.model.count import Costs, count_flops, count_params
from nas.model.plan import Normalize

__all__ = ["Blueprint", "Costs", "Normalize", "blueprint", "count_flops", "count_params"]
