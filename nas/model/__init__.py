"""From an architecture to a plain PyTorch module, its costs and its source."""

from nas.model.compile import Blueprint, blueprint
from nas.model.count import Costs, count_flops, count_params
from nas.model.export import Exportable
from nas.model.plan import Normalize, Units
from nas.model.standalone import standalone_source

__all__ = [
    "Blueprint",
    "Costs",
    "Exportable",
    "Normalize",
    "Units",
    "blueprint",
    "count_flops",
    "count_params",
    "standalone_source",
]
