"""The memory of a trial: foretold from shapes, of its own recipe, and near what training takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from nas import create_manager
from nas.model import Costs, blueprint
from nas.model.measure import Measuring
from nas.plugin.build import build_space
from nas.space.expand import Decision
from nas.testing.case import TASKS
from nas.train.loop import backward, make_optimizer
from nas.train.memory import MB, Memory, memory_limit, peak_bytes
from nas.train.recipe import Recipe
from nas.train.target import Classes

REGISTRY = create_manager().registry
TASK = TASKS[0]
SPACE = build_space(REGISTRY, "cell_cnn", TASK)
HEAVY, WIDE = Costs(1_000_000, 0, 10, 1), Costs(1000, 0, 1_000_000, 1)


def recipe(**options: Any) -> Recipe:
    return Recipe.parse(options)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [({}, 3), ({"momentum": 0.0}, 2), ({"optimizer": "adamw"}, 4)],
    ids=["momentum", "plain", "adamw"],
)
def test_the_optimizer_keeps_its_numbers(options: dict[str, Any], numbers: int) -> None:
    written = numbers - 1  # the checkpoint, in memory until it is on the disk
    assert peak_bytes(HEAVY, TASK, recipe(**options), 5000) == 4 * 1_000_000 * (numbers + written)


def test_activations_are_as_many_as_the_batch_and_its_pieces() -> None:
    weights = 4 * 1000 * 3
    assert peak_bytes(WIDE, TASK, recipe(batch_size=64), 5000) == weights + 64 * 1_000_000
    assert peak_bytes(WIDE, TASK, recipe(batch_size=128), 5000) == weights + 128 * 1_000_000
    assert peak_bytes(WIDE, TASK, recipe(batch_size=66), 5000, pieces=4) == weights + 17 * 1_000_000
    assert peak_bytes(WIDE, TASK, recipe(batch_size=4000), 10) == weights + 10 * 1_000_000
    assert peak_bytes(WIDE, TASK, recipe(batch_size=64), 5000, processes=2) == weights + 32 * 1_000_000


def test_an_evaluation_can_take_more_than_a_step() -> None:
    assert peak_bytes(Costs(0, 0, 1000, 500), TASK, recipe(batch_size=64), 5000) == 512 * 500
    assert peak_bytes(Costs(0, 0, 1000, 500), TASK, recipe(batch_size=64), 5000, pieces=4) == 128 * 500


def test_a_candidate_is_measured_with_its_own_recipe() -> None:
    sizes = (64, 256)
    space = SPACE.with_settings([Decision("recipe.batch_size", sizes)], {"recipe.batch_size": 64})
    measure = Measuring(TASK, REGISTRY, more=Memory(TASK, recipe(batch_size=128), 5000))
    small, large = (
        measure(space.architecture({**SPACE.reference.decisions, "recipe.batch_size": size}))["memory_mb"]
        for size in sizes
    )
    costs = blueprint(SPACE.reference, TASK, REGISTRY).costs
    assert small * MB == peak_bytes(costs, TASK, recipe(batch_size=64), 5000)
    assert large * MB == peak_bytes(costs, TASK, recipe(batch_size=256), 5000)
    assert large > small


@pytest.mark.parametrize(
    ("raises", "fits", "said"),
    [
        (False, 3000, "it needs about 3,001 MB of memory at batch size 32, a trial has 3,000 MB; try a smaller"),
        (True, 12_000, "a trial has 3,000 MB, too little also for 4 pieces of a batch; try a smaller"),
    ],
    ids=["on a CPU the whole batch", "on a GPU its pieces"],
)
def test_what_does_not_fit_is_refused_with_its_own_batch_size(raises: bool, fits: float, said: str) -> None:
    space = SPACE.with_settings([Decision("recipe.batch_size", (32, 64))], {"recipe.batch_size": 32})
    limit = memory_limit(3e9, recipe(batch_size=64), raises=raises)
    assert limit.met({"memory_mb": fits})
    assert not limit.met({"memory_mb": fits + 1})
    assert said in limit.broken(space.reference, {"memory_mb": fits + 1})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_step_takes_about_what_was_foretold() -> None:
    examples = 64
    plan = blueprint(SPACE.reference, TASK, REGISTRY)
    network = plan.build()
    optimizer = make_optimizer(network, recipe())
    x, y = torch.randn(examples, *TASK.input.shape), torch.randint(TASK.outputs, (examples,))
    backward(network, [x], y, Classes())
    optimizer.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        backward(network, [x], y, Classes())
    there = peak = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            there += event.nbytes()
            peak = max(peak, there)
    gradients = 4 * plan.costs.params
    assert plan.costs.training * examples == pytest.approx(peak - gradients, rel=0.25)
