"""`auto`: a Gaussian process on the graphs of finished trials says which architecture to train next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy(
        "auto", "nas_plugins.model_guided.strategy:auto", summary="What a model of the finished trials expects most of."
    )
