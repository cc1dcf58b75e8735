from __future__ import annotations

from collections.abc import Callable

import pytest

from nas.plugin.manager import create_manager
from nas.plugin.registry import Blocks, Registrar, Registry
from nas.space.architecture import Architecture
from nas.space.graph import Choice, Graph, chain, choice, dense_cell, repeat
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space


@pytest.fixture
def registry() -> Registry:
    return create_manager().registry


@pytest.fixture
def b(registry: Registry) -> Blocks:
    return registry.blocks


@pytest.fixture
def task() -> TaskInfo:
    return TaskInfo("tiny", (Port("image", (2, 8, 8)),), outputs=3)


@pytest.fixture
def cells(b: Blocks, task: TaskInfo) -> Space:
    """NAS-Bench-201's cell, twice in each of two stages, 4 channels wide."""

    def edge(i: int, j: int) -> Choice:
        return choice(
            f"edge{i}{j}",
            none=b.zero(),
            skip=b.identity(),
            conv1=b.conv(kernel=1, order="act_conv_norm"),
            conv3=b.conv(order="act_conv_norm"),
            pool=b.avg_pool(),
        )

    cell = repeat(dense_cell(4, edge, join=b.add()), 2)
    return Space(
        chain(
            stem=b.conv(channels=4, order="conv_norm"),
            stage1=cell,
            down=b.reduction(),
            stage2=cell,
            head=b.classifier(classes=task.classes, norm_act=True),
        )
    )


@pytest.fixture
def realised() -> Callable[[Graph], Architecture]:
    """The one architecture of a graph without choices."""
    return lambda graph: Space(graph).reference


@pytest.fixture
def register(registry: Registry) -> Callable[..., Blocks]:
    """Registers a block for one test: ``register(name, cls, **declaration)`` gives the blocks with it."""

    def add(name: str, target: object, **declaration: object) -> Blocks:
        registrar = Registrar("test")
        registrar.block(name, target, **declaration)  # type: ignore[arg-type]
        registry.add(registrar.entries)
        return registry.blocks

    return add
