"""Scoring architectures by zero-cost proxies, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.train.data import Data
from nas.train.proxy import EXAMPLES, Scorer, Scores, draw_batch, make_scorer
from nas.train.recipe import Recipe
from nas.train.target import target_of
from nas.train.task import Task
from nas.train.worker import Setting

CPU = torch.device("cpu")


def score(
    architectures: Iterable[Architecture],
    task: Task,
    names: Sequence[str],
    *,
    registry: Registry,
    seed: int = 0,
    batch_size: int = EXAMPLES,
    device: torch.device = CPU,
    simplify: bool = True,
) -> list[Scores]:
    """What the proxies called `names` say of each architecture, or why they say nothing.

    The batch is drawn from the part of the task that a search with this seed trains on. Raises UnknownNameError for an
    unknown proxy; an architecture that cannot be built or scored is no reason to stop.

    simplify: score what a search trains; without, every node as it is written, as published tables do, even where
        nothing leads from it to the output.

    >>> found = score(sample, open_task(registry, "digits"), ["naswot"], registry=registry)   # doctest: +SKIP
    """
    scorer = open_scorer(task, names, registry, seed, batch_size, device, simplify=simplify)
    return list(map(scorer.score, architectures))


def open_scorer(
    task: Task,
    names: Sequence[str],
    registry: Registry,
    seed: int,
    batch_size: int,
    device: torch.device,
    *,
    simplify: bool = True,
) -> Scorer:
    """What `score` scores one architecture after the other with."""
    setting = Setting(registry, task, Recipe.parse({}, task.info), seed)
    data = Data(setting.parts[0], device)
    batch = draw_batch(data, task.info.inputs, setting.units, target_of(task), seed, batch_size)
    return make_scorer(registry, task.info, names, batch, seed, simplify=simplify)
