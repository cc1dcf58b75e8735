"""Neural architecture search over graphs of blocks that plugins supply.

>>> import nas
>>> run = nas.search(space="cell_cnn", task="digits", trials=20)   # doctest: +SKIP
>>> network = run.load()                                           # doctest: +SKIP

Importing this package loads neither torch nor ray nor optuna; each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api import Run, export, load_run, resume, search
    from nas.controller.history import History, Objective, Strategy, Trial
    from nas.errors import NasError
    from nas.plugin.hooks import hookimpl
    from nas.plugin.manager import create_manager
    from nas.plugin.registry import Blocks, Registrar
    from nas.space.architecture import Architecture
    from nas.space.graph import Block, Choice, Graph, Repeat, chain, choice, dense_cell, graph, repeat, subset
    from nas.space.ports import Port, TaskInfo
    from nas.space.space import Space

__version__ = "0.1.0"

_HOMES = {
    "nas.api": ("Run", "export", "load_run", "resume", "search"),
    "nas.controller.history": ("History", "Objective", "Strategy", "Trial"),
    "nas.errors": ("NasError",),
    "nas.plugin.hooks": ("hookimpl",),
    "nas.plugin.manager": ("create_manager",),
    "nas.plugin.registry": ("Blocks", "Registrar"),
    "nas.space.architecture": ("Architecture",),
    "nas.space.graph": (
        "Block", "Choice", "Graph", "Repeat", "chain", "choice", "dense_cell", "graph", "repeat", "subset",
    ),
    "nas.space.ports": ("Port", "TaskInfo"),
    "nas.space.space": ("Space",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Architecture", "Block", "Blocks", "Choice", "Graph", "History", "NasError", "Objective", "Port", "Registrar",
    "Repeat", "Run", "Space", "Strategy", "TaskInfo", "Trial", "chain", "choice", "create_manager", "dense_cell",
    "export", "graph", "hookimpl", "load_run", "repeat", "resume", "search", "subset",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
