"""What the trials say of their architectures: one number each, more is better, and how far it is to be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.controller.history import History, Trial

Array = NDArray[np.float64]

ENOUGH = 3
"""Complete trials that reached an epoch, without which nothing is said of the end of a trial that was stopped there."""


@dataclass(frozen=True)
class Observed:
    """Trials with a value an objective, turned so that more is better (N, objectives), and the trust in each (N,)."""

    trials: tuple[Trial, ...]
    values: Array
    trust: Array


def observe(history: History) -> Observed:
    """The complete trials and, as what they would probably have become, those that a scheduler stopped."""
    found = [(t, t.values, 1.0) for t in history.complete if t.values]
    found += [(t, end, share) for t in history.trials if t.state == "stopped" for end, share in _expected(t, history)]
    found.sort(key=lambda one: one[0].number)
    signs = np.array([objective.sign for objective in history.objectives])
    values = np.array([values for _, values, _ in found], dtype=float).reshape(len(found), len(signs)) * signs
    return Observed(tuple(t for t, _, _ in found), values, np.array([share for _, _, share in found]))


def _expected(trial: Trial, history: History) -> list[tuple[tuple[float, ...], float]]:
    """What a stopped trial would have reached at its end, as the complete trials' curves tell, and its trained share.

    A trial that was the third best after two epochs is expected between those that were second and fourth best then.
    """
    epochs = len(trial.curve)
    others = [t for t in history.complete if len(t.curve) > epochs]
    if not epochs or len(others) < ENOUGH:
        return []
    ends = []
    for number, objective in enumerate(history.objectives):
        here = trial.curve[-1].get(objective.metric, math.nan)
        then = [t.curve[epochs - 1].get(objective.metric, math.nan) for t in others]
        last = [t.values[number] for t in others if t.values]
        if not all(map(math.isfinite, (here, *then))):
            return []
        ends.append(float(np.interp(here, sorted(then), sorted(last))))
    return [(tuple(ends), epochs / max(len(t.curve) for t in others))]
