"""Any sampler of Optuna as a strategy: ``optuna:tpe``, ``optuna:GPSampler``, ``optuna:nsgaii,population_size=20``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the strategy."""
    registry.strategy(
        "optuna",
        "nas_plugins.optuna_samplers.strategy:optuna_sampler",
        summary="A sampler of Optuna: tpe, gp, cmaes, qmc, nsgaii, nsgaiii, bruteforce or random.",
    )
