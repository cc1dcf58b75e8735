"""A training step of a compiled network beside the same network written by hand.

    python benchmarks/training_step.py [--pairs 40]

Forward, backward and an SGD step on one batch, one thread. They take turns; the ratio is of medians, and beside
it stands the ratio of the hand-written network against a second copy of itself, which shows the noise.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

import nas
from nas.model import blueprint
from nas.plugin.build import build_space

TASK = nas.TaskInfo("cifar10", (nas.Port("image", (3, 32, 32)),), 10)
BATCH = 32


class ResidualCell(nn.Module):
    """Two ReLU-Conv-BN beside a shortcut: the reference of `cell_cnn`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(F.relu(x)))
        return x + self.norm2(self.conv2(F.relu(y)))


class Down(nn.Module):
    """A residual block of stride 2, its shortcut by pooling and a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.conv1 = nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.shortcut = nn.Conv2d(channels, wide, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(F.relu(x)))
        y = self.norm2(self.conv2(F.relu(y)))
        return y + self.shortcut(F.avg_pool2d(x, 2))


class ByHand(nn.Module):
    """The reference of `cell_cnn` with three cells a stage, as one would write it."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.stage1 = nn.Sequential(*(ResidualCell(16) for _ in range(cells)))
        self.down1 = Down(16)
        self.stage2 = nn.Sequential(*(ResidualCell(32) for _ in range(cells)))
        self.down2 = Down(32)
        self.stage3 = nn.Sequential(*(ResidualCell(64) for _ in range(cells)))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down1(self.stage1(self.stem(x)))
        x = self.stage3(self.down2(self.stage2(x)))
        return self.head(x.mean((2, 3)))


def step(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """Seconds of one training step."""
    begin = time.perf_counter()
    loss = F.cross_entropy(network(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    torch.manual_seed(0)
    registry = nas.create_manager().registry
    reference = build_space(registry, "cell_cnn:cells=3", TASK).reference
    networks = {
        "compiled": blueprint(reference, TASK, registry).build(),
        "by hand": ByHand(3),
        "by hand again": ByHand(3),
    }
    sizes = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    x, y = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    optimizers = {name: torch.optim.SGD(network.parameters(), 0.01) for name, network in networks.items()}
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(pairs + 3):
        for name, network in networks.items():
            times[name].append(step(network, optimizers[name], x, y))
    medians = {name: statistics.median(seconds[3:]) for name, seconds in times.items()}
    table = Table("network", "parameters", "step, ms", "of by hand", title=f"training step, batch {BATCH}, 1 thread")
    for name, seconds in medians.items():
        table.add_row(name, f"{sizes[name]:,}", f"{1000 * seconds:.1f}", f"{seconds / medians['by hand']:.3f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
