"""Ray Tune's schedulers, with options that follow from how many epochs a trial has.

Ray's own HyperBandScheduler pauses trials until others have come as far, which waits for ever where few run at a time;
with brackets its AsyncHyperBandScheduler asks the same without pausing.
"""

from __future__ import annotations

import math

from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from nas.errors import ConfigError

EPOCH = "training_iteration"


def asha(
    epochs: int, *, grace_period: int | None = None, reduction_factor: float = 3, brackets: int = 1
) -> TrialScheduler:
    """Asynchronous successive halving (Li et al., MLSys 2020).

    grace_period: epochs before the first decision; None is a ninth of all, so that there are two or three rungs.
    reduction_factor: one of so many goes on at a rung, and the next rung is so many times as far.
    brackets: sets of rungs, each beginning one rung later; trials are shared out among them.
    """
    grace = max(1, epochs // 9) if grace_period is None else grace_period
    _check("asha", epochs, grace, reduction_factor)
    if brackets < 1:
        raise ConfigError(f"scheduler 'asha': expected brackets of at least 1, got {brackets}")
    return AsyncHyperBandScheduler(
        EPOCH, max_t=epochs, grace_period=grace, reduction_factor=reduction_factor, brackets=brackets
    )


def hyperband(epochs: int, *, grace_period: int = 1, reduction_factor: float = 3) -> TrialScheduler:
    """Hyperband (Li et al., JMLR 2018), asynchronous: as many brackets as there are rungs, the last stops nothing.

    grace_period: epochs before the first decision of the first bracket.
    reduction_factor: one of so many goes on at a rung, and the next rung is so many times as far.
    """
    _check("hyperband", epochs, grace_period, reduction_factor)
    brackets = 1 + int(math.log(epochs / grace_period, reduction_factor) + 1e-9)
    return AsyncHyperBandScheduler(
        EPOCH, max_t=epochs, grace_period=grace_period, reduction_factor=reduction_factor, brackets=brackets
    )


def median_stopping(epochs: int, *, grace_period: int | None = None, min_samples_required: int = 3) -> TrialScheduler:
    """The median stopping rule (Golovin et al., KDD 2017): stop what is worse than the others' running means.

    grace_period: epochs before the first decision; None is a quarter of all.
    min_samples_required: trials that must have come as far before anything is stopped.
    """
    grace = max(1, epochs // 4) if grace_period is None else grace_period
    _check("median_stopping", epochs, grace, 2)
    if min_samples_required < 1:
        raise ConfigError(
            f"scheduler 'median_stopping': expected min_samples_required of at least 1, got {min_samples_required}"
        )
    return MedianStoppingRule(EPOCH, grace_period=grace, min_samples_required=min_samples_required)


def _check(name: str, epochs: int, grace: int, factor: float) -> None:
    if not 1 <= grace <= epochs:
        raise ConfigError(f"scheduler {name!r}: expected grace_period within 1 and {epochs} epochs, got {grace}")
    if factor <= 1:
        raise ConfigError(f"scheduler {name!r}: expected reduction_factor above 1, got {factor}")
