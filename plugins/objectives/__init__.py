"""What a search may optimize: each objective is a metric that training reports and the better direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the objectives."""
    add = registry.objective
    add("val_accuracy", "val_accuracy", direction="maximize", summary="Share of validation examples classified right.")
    add("val_loss", "val_loss", direction="minimize", summary="Mean loss on the validation examples.")
    add("params", "params", direction="minimize", summary="Number of weights to learn.")
    add("flops", "flops", direction="minimize", summary="Floating-point operations of one example's forward pass.")
