"""What is known of a candidate before training: from the meta device, and by a clock where latency is asked for."""

from __future__ import annotations

import random
import re
import time

import pytest
import torch
from torch import Tensor, nn

from nas.errors import CandidateError
from nas.model.measure import Measuring, example_of, latency_ms
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.testing.case import TASKS

REGISTRY = create_manager().registry
TASK = TASKS[0]
SPACE = build_space(REGISTRY, "cell_cnn:channels=8", TASK)


class Slow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.01)
        return x


def test_a_network_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import nas.model.measure as measure

    seen = []
    settle = measure.blueprint
    monkeypatch.setattr(measure, "blueprint", lambda a, *rest, **more: (seen.append(a), settle(a, *rest, **more))[1])
    measuring = Measuring(TASK, REGISTRY)
    first = measuring(SPACE.reference)
    assert measuring(SPACE.reference) == first
    assert set(first) == {"params", "flops"}
    assert first["params"] > 1000
    constant = SPACE.architecture({decision.label: "none" for decision in SPACE.decisions})
    for _ in range(2):
        with pytest.raises(CandidateError, match="computes a constant"):
            measuring(constant)
    assert len(seen) == 2


def test_a_quick_look_sees_the_same_without_memory() -> None:
    measuring = Measuring(TASK, REGISTRY, more=lambda _, costs: {"memory": costs.training})
    for number in range(20):
        drawn = SPACE.sample(random.Random(number))
        try:
            whole = measuring(drawn)
        except CandidateError as error:
            with pytest.raises(CandidateError, match=re.escape(str(error))):
                measuring.quick(drawn)
            continue
        assert whole["memory"] > 0
        assert measuring.quick(drawn) == {name: whole[name] for name in ("params", "flops")}


def test_latency_is_measured_where_it_is_asked_for_and_disturbs_nothing() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    found = Measuring(TASK, REGISTRY, latency=True, threads=threads + 1)(SPACE.reference)
    assert 0 < found["latency_ms"] < 10_000
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("training", [True, False])
def test_latency_is_the_time_of_a_forward_pass(training: bool) -> None:
    network = Slow().train(training)
    assert 10 <= latency_ms(network, [torch.zeros(1)]) < 60
    assert network.training == training


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_example_is_one_of_each_input(task: object) -> None:
    made = example_of(task)  # type: ignore[arg-type]
    assert [tuple(x.shape) for x in made] == [(1, *port.shape) for port in task.inputs]  # type: ignore[attr-defined]
