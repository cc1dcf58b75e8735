"""Published tables of trained architectures; each reads a file that the user has and names.

`files.py` opens them; each other module is one table: its space, its rows, and the paper it comes from.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the tables."""
    registry.table(
        "nas_bench_201",
        "nas_plugins.tables.nas_bench_201:nas_bench_201",
        summary="15,625 convolutional cells on CIFAR-10 (Dong & Yang, ICLR 2020)",
    )
