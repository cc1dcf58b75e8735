"""The memory that a trial takes at its peak, foretold from shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.controller.history import Limit
from nas.controller.limits import MEMORY
from nas.model.count import Costs
from nas.space.architecture import Architecture
from nas.space.ports import TaskInfo
from nas.train.recipe import Recipe
from nas.train.target import evaluation_batch

NUMBER = 4
"""Bytes of a weight, a gradient and a number of the optimizer: float32, also where a GPU computes in bfloat16."""
MB = 1e6
PIECES = 4
"""Of each batch, for a trial that ran out of memory: what is kept for the gradients falls to a quarter."""


@dataclass(frozen=True)
class Memory:
    """What the trials of one search take: of each candidate, with the batch size and optimizer of its own recipe."""

    task: TaskInfo
    recipe: Recipe
    examples: int
    processes: int = 1

    def __call__(self, architecture: Architecture, costs: Costs) -> Mapping[str, float]:
        """``memory_mb``, in millions of bytes."""
        recipe = self.recipe.set_by(architecture.settings)
        return {MEMORY: peak_bytes(costs, self.task, recipe, self.examples, processes=self.processes) / MB}


@dataclass(frozen=True)
class MemoryLimit(Limit):
    """The memory that each trial has, as a limit on what it is foretold to take.

    recipe: of the search.  pieces: of a batch in which a trial that runs out of memory goes on; its batch must fit so.
    """

    recipe: Recipe = field(default_factory=lambda: Recipe.parse({}))
    pieces: int = 1

    def broken(self, candidate: Architecture, known: Mapping[str, float]) -> str:
        """How much it takes of how much, and what to do."""
        size = self.recipe.set_by(candidate.settings).batch_size
        there = f"a trial has {self.bound / self.pieces:,.0f} MB"
        so = f", too little also for {self.pieces} pieces of a batch" if self.pieces > 1 else ""
        return (
            f"it needs about {known.get(MEMORY, math.nan):,.0f} MB of memory at batch size {size}, {there}{so}; "
            "try a smaller batch_size or fewer trials at once"
        )


def memory_limit(there: float, recipe: Recipe, *, raises: bool) -> MemoryLimit:
    """The limit for trials that have `there` bytes each, for whom running out of memory `raises` an error or not.

    On a GPU it does, and the trial goes on in pieces: only what is too large for these is refused, being four times as
    large as what there is at least. On a CPU Linux kills a process then, maybe another one: the whole batch must fit.
    """
    pieces = PIECES if raises else 1
    return MemoryLimit(MEMORY, pieces * there / MB, recipe=recipe, pieces=pieces)


def peak_bytes(
    costs: Costs, task: TaskInfo, recipe: Recipe, examples: int, *, pieces: int = 1, processes: int = 1
) -> int:
    """The memory of a trial at its peak: of a training step, of an evaluation, or of writing its checkpoint.

    There are so many `examples`. With several `processes`, which share a batch, it is that of each. Weights, gradients
    and the optimizer's numbers are there all the time, the rest as long as each takes. `pieces` of a batch are trained
    on, and evaluated, one after the other. Not in it: Python, PyTorch and the data.
    """
    states = _states(recipe)
    step = -(-min(recipe.batch_size, examples) // (pieces * processes)) * costs.training
    judged = max(1, min(evaluation_batch(task), examples) // pieces) * costs.evaluating
    checkpoint = NUMBER * costs.params * (1 + states)
    return int(NUMBER * costs.params * (2 + states) + max(step, judged, checkpoint))


def _states(recipe: Recipe) -> int:
    """Numbers that the optimizer keeps for each parameter: AdamW's two moments, or SGD's momentum."""
    return 2 if recipe.optimizer == "adamw" else int(recipe.momentum > 0)
