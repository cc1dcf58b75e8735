"""The exporter to plain PyTorch: model.py, weights.safetensors, architecture.json."""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the exporter."""
    registry.exporter(
        "pytorch",
        "nas_plugins.pytorch.export:export",
        summary="model.py that needs only PyTorch, its weights and the architecture, checked in a process of its own",
    )
