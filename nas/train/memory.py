"""The memory that a trial takes at its peak, foretold from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.controller.limits import MEMORY
from nas.model.count import Costs
from nas.space.architecture import Architecture
from nas.space.ports import TaskInfo
from nas.train.recipe import Recipe
from nas.train.target import evaluation_batch

NUMBER = 4
"""Bytes of a weight, a gradient and a number of the optimizer: float32, also where a GPU computes in bfloat16."""
MB = 1e6


@dataclass(frozen=True)
class Memory:
    """What the trials of one search take: of each candidate, with the batch size and optimizer of its own recipe."""

    task: TaskInfo
    recipe: Recipe
    processes: int = 1

    def __call__(self, architecture: Architecture, costs: Costs) -> Mapping[str, float]:
        """``memory_mb``, in millions of bytes."""
        recipe = self.recipe.set_by(architecture.settings)
        return {MEMORY: peak_bytes(costs, self.task, recipe, processes=self.processes) / MB}


def peak_bytes(costs: Costs, task: TaskInfo, recipe: Recipe, *, pieces: int = 1, processes: int = 1) -> int:
    """The memory of a trial at its peak: of a training step, of an evaluation, or of writing its checkpoint.

    With several `processes`, which share a batch, of each of them. Weights, gradients and the optimizer's numbers are
    there all the time, the rest as long as each takes. `pieces` of a batch are trained on, and evaluated, one after the
    other. Not in it: Python, PyTorch and the data.
    """
    states = _states(recipe)
    step = -(-recipe.batch_size // (pieces * processes)) * costs.training
    judged = max(1, evaluation_batch(task) // pieces) * costs.evaluating
    checkpoint = NUMBER * costs.params * (1 + states)
    return NUMBER * costs.params * (2 + states) + max(step, judged, checkpoint)


def _states(recipe: Recipe) -> int:
    """Numbers that the optimizer keeps for each parameter: AdamW's two moments, or SGD's momentum."""
    return 2 if recipe.optimizer == "adamw" else int(recipe.momentum > 0)
