"""A plugin in which every registered thing breaks one promise: what the checks must find.

A name says the check that must fail: what comes after `check_` and before `__`.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from nas.controller.history import History
from nas.errors import CandidateError, ConfigError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.architecture import Architecture
from nas.space.graph import Graph, chain, choice
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas.train.proxy import Batch
from nas.train.task import Arrays, ArrayTask

count = itertools.count()


class Scale(nn.Module):
    def __init__(self, *, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class ScaleMore(Scale):
    def __init__(self, *, factor: float = 2.0, shift: float = 0.0) -> None:
        super().__init__(factor=factor)


class ToVector(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class NotANumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-x.abs())


class Shifted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


class SeesPadding(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x.mean(dim=1)


class First(nn.Module):
    def forward(self, *given: Tensor) -> Tensor:
        return given[0]


class WeightedSum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, *given: Tensor) -> Tensor:
        return torch.stack(given).sum(0) * self.weight


class Unused(nn.Module):
    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.used = nn.Conv2d(in_channels, in_channels, 1)
        self.unused = nn.Conv2d(in_channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.used(x)
        return out


class Counting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + next(calls)


calls = itertools.count()


class NeedsNumpy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float(np.pi)


def add_blocks(registry: Registrar) -> None:
    scale = {"factor": 2.0}
    block = registry.block
    block(
        "parameters_match_the_constructor__unknown",
        Scale,
        inputs=("image",),
        parameters=scale | {"shift": 0.0},
        summary="x",
    )
    block("parameters_match_the_constructor__undeclared", ScaleMore, inputs=("image",), parameters=scale, summary="x")
    block(
        "parameters_match_the_constructor__default", Scale, inputs=("image",), parameters={"factor": 3.0}, summary="x"
    )
    block("output_is_as_declared__kind", ToVector, inputs=("image",), output="sequence", summary="x")
    block("output_is_as_declared__nan", NotANumber, inputs=("image",), summary="x")
    block("keeps_zero_as_declared__shift", Shifted, inputs=("image",), keeps_zero=True, summary="x")
    block("role_is_true__identity", Scale, parameters=scale, inputs=("image",), role="identity", summary="x")
    block("role_is_true__zero", First, inputs=("image",), role="zero", summary="x")
    block("role_is_true__sum", First, inputs=("vector", "*"), role="sum", summary="x")
    block("role_is_true__weights", WeightedSum, inputs=("image", "*"), role="sum", summary="x")
    block("role_is_true__order", First, inputs=("image", "*"), role="symmetric", summary="x")
    block("every_weight_learns__unused", Unused, inputs=("image",), summary="x")
    block("padding_is_not_seen__mean", SeesPadding, inputs=("sequence",), output="vector", summary="x")
    block("seed_decides_the_weights__counter", Counting, inputs=("image",), summary="x")
    block("source_is_exportable__numpy", NeedsNumpy, inputs=("image",), summary="x")
    block("has_a_summary__none", "torch.nn:Identity")
    block("name can be typed__blank", "torch.nn:Identity", summary="x")


def _space(b: Blocks, task: TaskInfo, *labels: str) -> Graph:
    ops = choice("op", one=b.conv(kernel=1), three=b.conv(kernel=3))
    more = {label: choice(label, one=b.conv(kernel=1), three=b.conv(kernel=3)) for label in labels}
    return chain(stem=b.conv(channels=8), op=ops, **more, head=b.classifier(classes=task.classes))


def hashed_space(b: Blocks, task: TaskInfo) -> Graph:
    """In the order of a set of strings."""
    return _space(b, task, *{f"label{i}" for i in range(12)})


def counted_space(b: Blocks, task: TaskInfo) -> Graph:
    """Another space every time."""
    return _space(b, task, *(f"label{i}" for i in range(next(count) % 2)))


def even_kernel_space(b: Blocks, task: TaskInfo) -> Space:
    """Has an option that no convolution takes."""
    conv = b.conv(channels=8, kernel=choice("kernel", 3, 2))
    return Space(chain(conv=conv, head=b.classifier(classes=task.classes)))


def too_many_classes_space(b: Blocks, task: TaskInfo) -> Graph:
    """Answers a question that nobody asked."""
    return _space(b, replace(task, outputs=task.outputs + 1))


class Always:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(random.Random(0))


class OnceSeeded:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(random.Random(rng.getstate()[1][0]))


class Stateful:
    def __init__(self) -> None:
        self.asked = 0

    def propose(self, history: History, rng: random.Random) -> Architecture:
        self.asked += 1
        return history.space.sample(random.Random(f"{self.asked} {rng.random()}"))


class GlobalRandom:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(random.Random(f"{random.random()} {rng.random()}"))


class Hashed:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(random.Random(hash(f"a string {rng.random()}")))


class Careless:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        best = max((t for t in history.trials if t.values), key=lambda t: t.values or ())
        return history.space.mutate(best.architecture, rng)


class Elsewhere:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        made = history.space.sample(rng)
        return replace(made, decisions=dict(made.decisions) | {"unheard of": 1})


class Careful:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(rng)


class Vandal:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        if isinstance(history.trials, list) and history.trials:
            history.trials.pop()
        return history.space.sample(rng)


class Boaster(Careful):
    """Says that a part has more than all."""

    def explain(self, history: History) -> dict[str, float]:
        return {"chains": 1.5, "luck": 0.5}


class Startled(Careful):
    def check(self, space: Space, objectives: object) -> None:
        raise ValueError("expected anything but this")


class Choosy(Careful):
    def check(self, space: Space, objectives: object) -> None:
        raise ConfigError(f"expected another space, got {space.name!r}")


def arrays(x: np.ndarray, y: np.ndarray) -> Arrays:  # type: ignore[type-arg]
    return Arrays((x.astype(np.float32),), y)


def task(x: np.ndarray, y: np.ndarray, outputs: int = 2) -> ArrayTask:  # type: ignore[type-arg]
    return ArrayTask(TaskInfo("broken", (Port("vector", (3,)),), outputs), arrays(x, y), lambda: arrays(x, y))


X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 0, 1])


class HashedFingerprint(ArrayTask):
    fingerprint = property(lambda self: f"{hash('some data'):x}")  # type: ignore[assignment]


class OneNumber(ArrayTask):
    def normalize(self, train: Arrays) -> object:  # type: ignore[override]
        (numbers,) = super().normalize(train)
        assert numbers is not None
        return (numbers._replace(mean=numbers.mean[:1]),)


def add_tasks(registry: Registrar) -> None:
    good = task(X, Y)
    add = registry.task
    add("arrays_agree_with_the_info__shape", lambda: task(X[:, :2], Y), summary="x")
    add("arrays_agree_with_the_info__label", lambda: task(X, Y + 1), summary="x")
    add("arrays_agree_with_the_info__nan", lambda: task(X * np.nan, Y), summary="x")
    add("every_class_can_be_learned__third", lambda: task(X, Y, 3), summary="x")
    add("loads_the_same_twice__random", lambda: task(X + next(count), Y), summary="x")
    add("fingerprint_is_the_same_elsewhere__hash", lambda: _as(HashedFingerprint, good), summary="x")
    add("normalization_fits_the_input__one", lambda: _as(OneNumber, good), summary="x")


def infinite_proxy(network: nn.Module, batch: Batch) -> float:
    return float("inf")


def raising_proxy(network: nn.Module, batch: Batch) -> float:
    raise ValueError("no reason at all")


def silent_proxy(network: nn.Module, batch: Batch) -> float:
    raise CandidateError("")


def picky_proxy(network: nn.Module, batch: Batch) -> float:
    raise CandidateError("it is not what I like")


def random_proxy(network: nn.Module, batch: Batch) -> float:
    return random.random()


def greedy_proxy(network: nn.Module, batch: Batch) -> float:
    batch.x[0].add_(1)
    return 0.0


def jacobian_proxy(network: nn.Module, batch: Batch) -> float:
    if batch.x[0].is_floating_point():
        batch.x[0].requires_grad_()
    return 0.0


def _as(cls: type[ArrayTask], made: ArrayTask) -> ArrayTask:
    return cls(made.info, made.train, made.test)


@hookimpl
def nas_register(registry: Registrar) -> None:
    add_blocks(registry)
    add_tasks(registry)
    registry.space("digests_are_the_same_elsewhere__set", hashed_space)
    registry.space("rebuild_gives_the_same_space__counter", counted_space)
    registry.space("networks_build__classes", too_many_classes_space)
    registry.space("blocks_take_what_reaches_them__kernel", even_kernel_space)
    for name, strategy in {
        "proposals_depend_on_the_generator__fixed": Always,
        "asked_again_proposes_another__reseeds": OnceSeeded,
        "has_no_hidden_state__counter": Stateful,
        "has_no_hidden_state__global": GlobalRandom,
        "proposals_are_the_same_elsewhere__hash": Hashed,
        "proposals_are_in_the_space__careless": Careless,
        "proposals_are_in_the_space__elsewhere": Elsewhere,
        "leaves_the_history_alone__pops": Vandal,
        "explains_itself_in_shares__boasts": Boaster,
        "refuses_in_a_sentence__startled": Startled,
        "refuses_in_a_sentence__choosy": Choosy,
    }.items():
        registry.strategy(name, _maker(strategy), summary="x")
    for name, proxy in {
        "scores_or_refuses__infinite": infinite_proxy,
        "scores_or_refuses__raises": raising_proxy,
        "scores_or_refuses__silent": silent_proxy,
        "scores_or_refuses__picky": picky_proxy,
        "seed_decides_the_score__random": random_proxy,
        "leaves_the_generators_alone__random": random_proxy,
        "leaves_the_batch_alone__greedy": greedy_proxy,
        "leaves_the_batch_alone__jacobian": jacobian_proxy,
    }.items():
        registry.proxy(name, proxy, summary="x")
    registry.objective("objective_names_a_metric__none", "", direction="maximize", summary="x")
    registry.exporter("target_loads__missing", "no.such.module:attribute", summary="x")


def _maker(cls: type) -> object:
    return lambda: cls()
