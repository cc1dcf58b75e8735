"""How many trials share a GPU, from what the first ones took of theirs; and what is said of GPUs that are not used.

Numbers in, numbers and words out: no torch, no Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from nas.controller.history import Trial

MEMORY, BUSY = "gpu_memory", "gpu_busy"
"""Metrics of a trial: the largest part of its GPU's memory that its process took, and the part of time it computed."""

PARTS = (1, 2, 4, 8)
"""Trials on one GPU; beyond eight their processes' own memory, half a GiB each, and their CPU cores are what counts."""

FIRST = 3
"""Trials that are measured before a GPU is shared: one alone may be the smallest of the space."""

ROOM = 1.25
"""Of memory, for later candidates that are larger; one that is too large even so goes on in pieces of a batch."""

ENOUGH = 0.9
"""Of a GPU's time: where it computes so much, another trial would only slow the others down."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a trial took of its GPU, as parts of the whole; `busy` is None where nobody could tell."""

    memory: float
    busy: float | None = None


def uses(trials: Iterable[Trial]) -> list[Use]:
    """Of those that have been trained on a GPU to their end, in their order."""
    trained = [trial.metrics for trial in trials if trial.state == "complete" and not trial.cached]
    return [Use(metrics[MEMORY], metrics.get(BUSY)) for metrics in trained if MEMORY in metrics]


def share(found: Sequence[Use]) -> float | None:
    """The part of a GPU for each trial: 1, 1/2, 1/4 or 1/8; None as long as fewer than `FIRST` have been measured.

    As many trials as keep the GPU busy, and no more than its memory holds. Where nobody could tell how busy it was, as
    many as its memory holds.

    >>> share([Use(memory=0.1, busy=0.3)] * 3)
    0.25
    """
    first = found[:FIRST]
    if len(first) < FIRST:
        return None
    memory = ROOM * max(use.memory for use in first)
    known = [use.busy for use in first if use.busy is not None]
    busy = fmean(known) if len(known) == FIRST else 0.0
    held = [many for many in PARTS if many * memory <= 1] or [1]
    return 1 / next((many for many in held if many * busy >= ENOUGH), held[-1])


def idle_text(there: float, used: float) -> str:
    """What is to be said of GPUs that are there and not used by any trial; nothing where all are."""
    idle = int(there - used + 1e-9)
    if idle < 1:
        return ""
    how = "allow more trials at a time, or several GPUs for each" if used else "ask for them by --gpus-per-trial"
    return f"{idle} of {there:g} GPUs not used: {how}"


def use_text(found: Sequence[Use]) -> str:
    """What trials took of their GPUs; nothing where none was on one."""
    if not found:
        return ""
    known = [use.busy for use in found if use.busy is not None]
    busy = f"{fmean(known):.0%} busy" if known else "how busy is not known without the extra 'gpu'"
    return f"{busy}, {max(use.memory for use in found):.0%} of the memory at most in one trial"


def waste_text(found: Sequence[Use], gpus_per_trial: float | str) -> str:
    """What is to be said where each trial had a whole GPU, and more would have found room on it."""
    part = share(found)
    if part is None or part == 1 or gpus_per_trial != 1:
        return ""
    return f"GPUs were {use_text(found)}: --gpus-per-trial {part:g} would have trained {1 / part:g} at a time on each"
