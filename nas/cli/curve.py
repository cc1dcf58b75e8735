"""Curves of trials in a few characters, for tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nas.controller.history import Objective, Trial

LEVELS = "▁▂▃▄▅▆▇█"
PLAIN_LEVELS = "_.-:=+*#"
"""For terminals that know no other characters."""
MISSING = "×"
WIDTH = 16
"""Characters of a curve: longer ones show the last epoch of each stretch."""
EPOCH_ONLY = ("epoch", "epochs", "seconds")


def curve_values(trial: Trial, objective: Objective) -> list[float]:
    """One number an epoch: the objective's metric or, where epochs do not have it, what they are judged by or lose.

    NaN for an epoch that lacks it.
    """
    names = list(dict.fromkeys(name for epoch in trial.curve for name in epoch))
    judged = [name for name in names if name.startswith("val_")]
    rest = [name for name in names if name not in EPOCH_ONLY]
    wanted = next((n for n in (objective.metric, *judged, "train_loss", *rest) if n in names), "")
    return [epoch.get(wanted, math.nan) for epoch in trial.curve]


def extent(curves: Iterable[Sequence[float]]) -> tuple[float, float]:
    """The least and the largest finite value of all curves, so that they are drawn on one scale."""
    values = [value for curve in curves for value in curve if math.isfinite(value)]
    return (min(values), max(values)) if values else (0.0, 0.0)


def sparkline(values: Sequence[float], low: float, high: float, levels: str = LEVELS, width: int = WIDTH) -> str:
    """The values between `low` and `high` as a line of characters, × for one that is not finite.

    >>> sparkline([0.0, 0.5, 1.0], 0.0, 1.0)
    '▁▅█'
    """
    count = min(len(values), width)
    shown = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    return "".join(_level(value, low, high, levels) for value in shown)


def _level(value: float, low: float, high: float, levels: str) -> str:
    if not math.isfinite(value):
        return MISSING if levels is LEVELS else "x"
    share = (value - low) / (high - low) if high > low else 0.5
    return levels[min(len(levels) - 1, max(0, int(share * len(levels))))]
