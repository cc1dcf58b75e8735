"""Schedulers of Ray Tune that stop trials which fall behind; what they stop keeps the values of its last epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the schedulers."""
    for name, summary in (
        ("asha", "Asynchronous successive halving: the best third at each rung goes on."),
        ("hyperband", "Hyperband without waiting: successive halving that starts at several rungs."),
        ("median_stopping", "Stop what is worse than the median of the others at the same epoch."),
    ):
        registry.scheduler(name, f"nas_plugins.schedulers.stopping:{name}", summary=summary)
