"""``--logger tensorboard``: the curves, decisions and results of every trial for TensorBoard (extra `tensorboard`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the logger."""
    registry.logger(
        "tensorboard", "nas_plugins.tensorboard.logger:TensorBoard", summary="Curves, decisions and results of trials."
    )
