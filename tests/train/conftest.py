from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.space.ports import Port, TaskInfo
from nas.train.data import Data
from nas.train.task import Arrays, ArrayTask


def images(examples: int, classes: int = 3, seed: int = 0) -> Arrays:
    """Images (2, 6, 6) of noise, brighter in the first channel, the second or none."""
    rng = np.random.default_rng(seed)
    y = np.arange(examples) % classes
    x = rng.integers(0, 100, (examples, 2, 6, 6))
    x[y == 0, 0] += 50
    x[y == 1, 1] += 50
    return Arrays((x.astype(np.uint8),), y.astype(np.int64))


class Small(nn.Module):
    """All that could spoil reproducibility: convolution, batch norm, dropout."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(4 * 36, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(self.conv(x / 100)).relu().flatten(1)))


@pytest.fixture
def small() -> Callable[[], nn.Module]:
    """The same network with the same weights each time."""

    def build() -> nn.Module:
        torch.manual_seed(0)
        return Small()

    return build


@pytest.fixture
def parts() -> tuple[Data, Data]:
    """What is trained on and what is validated on."""
    cpu = torch.device("cpu")
    return Data(images(50), cpu), Data(images(20, seed=1), cpu)


@pytest.fixture
def array_task() -> ArrayTask:
    info = TaskInfo("rows", (Port("image", (2, 6, 6)),), 3)
    return ArrayTask(info, images(60), lambda: images(30, seed=1), ("crop",))


@pytest.fixture(scope="session")
def registry() -> Registry:
    return create_manager().registry


SECRET = '''
from nas.errors import TaskError
from nas.plugin.hooks import hookimpl
from nas.space.ports import Port, TaskInfo
from nas.train.task import Arrays, ArrayTask


def rows(*, examples: int = 60):
    """Images (2, 6, 6) of noise, and a test part that cannot be read."""
    import numpy as np

    rng = np.random.default_rng(0)
    y = np.arange(examples) % 3
    x = rng.integers(0, 100, (examples, 2, 6, 6))
    x[y == 0, 0] += 50
    x[y == 1, 1] += 50

    def test():
        raise TaskError("the test part was read")

    return ArrayTask(TaskInfo("rows", (Port("image", (2, 6, 6)),), 3), Arrays((x.astype(np.uint8),), y), test)


@hookimpl
def nas_register(registry):
    registry.task("rows", rows)
'''


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A worker's configuration for a task whose test part raises when it is read."""
    plugin = tmp_path / "secret_task.py"
    plugin.write_text(SECRET)
    return {
        "plugins": [str(plugin)],
        "task": "rows",
        "recipe": {"epochs": 2, "batch_size": 16},
        "seed": 1,
        "run": str(tmp_path / "run"),
        "threads": 1,
        "device": "cpu",
    }
