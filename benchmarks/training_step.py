"""A training step of a compiled network beside the same network written by hand, one of each family.

    python benchmarks/training_step.py [--pairs 40]

Forward, backward and an SGD step on one batch, one thread. They take turns; the ratio is of medians, and beside
it stands the ratio of the hand-written network against a second copy of itself, which shows the noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

import nas
from nas.model import blueprint
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.graph import Scalar

BATCH = 32
IMAGES = nas.TaskInfo("cifar10", (nas.Port("image", (3, 32, 32)),), 10)
TEXT = nas.TaskInfo("text", (nas.Port("tokens", (64,)),), 256, "token", vocabulary=256)
SERIES = nas.TaskInfo("series", (nas.Port("sequence", (64, 16)),), 10)


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
        out: Tensor = x + self.norm2(self.conv2(F.relu(y)))
        return out


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
        out: Tensor = y + self.shortcut(F.avg_pool2d(x, 2))
        return out


class ResidualCnn(nn.Module):
    """The reference of `cell_cnn` with three cells a stage, as one would write it."""

    def __init__(self, cells: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.stage1 = nn.Sequential(*(ResidualCell(16) for _ in range(cells)))
        self.down1 = Down(16)
        self.stage2 = nn.Sequential(*(ResidualCell(32) for _ in range(cells)))
        self.down2 = Down(32)
        self.stage3 = nn.Sequential(*(ResidualCell(64) for _ in range(cells)))
        self.norm = nn.BatchNorm2d(64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down1(self.stage1(self.stem(x)))
        x = self.stage3(self.down2(self.stage2(x)))
        out: Tensor = self.head(F.relu(self.norm(x)).mean((2, 3)))
        return out


class LstmClassifier(nn.Module):
    """Two layers of LSTM, the last step, a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, 64, 2, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.lstm(x)[0][:, -1])
        return out


class GruByHand(nn.Module):
    """NAS-Bench-NLP's GRU, run step after step, the last step, a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(nn.Linear(16, 64) for _ in range(3))
        self.states = nn.ModuleList(nn.Linear(64, 64, bias=False) for _ in range(3))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h, (r_x, z_x, new_x), (r_h, z_h, new_h) = x.new_zeros(len(x), 64), self.inputs, self.states
        for now in x.unbind(1):
            reset, keep = torch.sigmoid(r_x(now) + r_h(h)), torch.sigmoid(z_x(now) + z_h(h))
            h = keep * h + (1 - keep) * torch.tanh(new_x(now) + new_h(reset * h))
        out: Tensor = self.head(h)
        return out


class GptLayer(nn.Module):
    """Attention and SwiGLU side by side, half of each head turned by its position (GPT-NeoX, Black et al. 2022)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(turn(q, cos, sin), turn(k, cos, sin), v, is_causal=True)
        gate, hidden = self.up(self.norm2(x)).chunk(2, dim=-1)
        out: Tensor = x + self.out(mixed.transpose(1, 2).reshape(x.shape)) + self.down(F.silu(gate) * hidden)
        return out


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on the first features: (B, H, L, E) -> the same (Su et al. 2021)."""
    half = cos.shape[-1]
    one, other, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([one * cos - other * sin, other * cos + one * sin, rest], dim=-1)


class Gpt(nn.Module):
    """The reference of `decoder:scale=tiny`."""

    cos: Tensor
    sin: Tensor

    def __init__(self, width: int = 96, heads: int = 6, layers: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        self.layers = nn.ModuleList(GptLayer(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 256, bias=False)
        turned = width // heads // 2
        angles = torch.outer(torch.arange(64), 10_000.0 ** -(torch.arange(0, turned, 2) / turned))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        out: Tensor = self.head(self.norm(x))
        return out


LINEARS = {"n1": ("x", "h0"), "n3": ("x", "h0"), "n6": ("x", "n5")}
OTHERS = {"n2:sigmoid": "n1", "n4:sigmoid": "n3", "n5:product": "n2 h0", "n7:tanh": "n6", "n8:blend": "n4 h0 n7"}


def gru_decisions() -> dict[str, Scalar]:
    """The GRU of `GruByHand` as a point of the space `recurrent_cell`."""
    said: dict[str, Scalar] = {"new0": "n8"}
    for name, (_, state) in LINEARS.items():
        said |= {name: "cell_linear:xv", f"{name}/value0": state}
    for place, values in OTHERS.items():
        name, _, block = place.partition(":")
        said[name] = f"{block}:{'v' * len(values.split())}"
        said |= {f"{name}/value{i}": value for i, value in enumerate(values.split())}
    return said


@dataclass(frozen=True)
class Family:
    """A network of a space and the same written by hand."""

    task: nas.TaskInfo
    space: str
    decisions: Mapping[str, Scalar]
    by_hand: Callable[[], nn.Module]

    def compiled(self, registry: Registry) -> nn.Module:
        space = build_space(registry, self.space, self.task)
        architecture = space.architecture(self.decisions, fill=True) if self.decisions else space.reference
        return blueprint(architecture, self.task, registry).build()


LSTM: dict[str, Scalar] = {"cell": "lstm", "layers": 2, "width": 64, "pool": "last"}
FAMILIES = {
    "residual CNN": Family(IMAGES, "cell_cnn:cells=3", {}, ResidualCnn),
    "LSTM": Family(SERIES, "recurrent_stack", LSTM, LstmClassifier),
    "GPT-like": Family(TEXT, "decoder:scale=tiny", {}, Gpt),
    "searched cell": Family(SERIES, "recurrent_cell:nodes=9,states=1", gru_decisions(), GruByHand),
}


def step(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """Seconds of one training step."""
    begin = time.perf_counter()
    loss = F.cross_entropy(network(x).flatten(0, -2), y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return time.perf_counter() - begin


def compare(family: Family, registry: Registry, pairs: int) -> tuple[int, dict[str, float]]:
    """Parameters, and the median seconds of a step of each network, taken in turns."""
    torch.manual_seed(0)
    networks = {"compiled": family.compiled(registry), "hand": family.by_hand(), "again": family.by_hand()}
    sizes = {sum(p.numel() for p in network.parameters()) for network in networks.values()}
    assert len(sizes) == 1, f"the networks differ: {sizes}"
    task, shape = family.task, (BATCH, *family.task.input.shape)
    x = torch.randint(task.vocabulary, shape) if task.vocabulary else torch.randn(shape)
    y = torch.randint(task.outputs, (x.numel() if task.target == "token" else BATCH,))
    optimizers = {name: torch.optim.SGD(network.parameters(), 0.01) for name, network in networks.items()}
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(pairs + 3):
        for name, network in networks.items():
            times[name].append(step(network, optimizers[name], x, y))
    return sizes.pop(), {name: statistics.median(seconds[3:]) for name, seconds in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    registry = nas.create_manager().registry
    columns = ("network", "parameters", "compiled, ms", "by hand, ms", "ratio", "noise")
    table = Table(*columns, title=f"training step, batch {BATCH}, 1 thread")
    for name, family in FAMILIES.items():
        size, seconds = compare(family, registry, pairs)
        milliseconds = [f"{1000 * seconds[who]:.1f}" for who in ("compiled", "hand")]
        ratios = [f"{seconds[who] / seconds['hand']:.3f}" for who in ("compiled", "again")]
        table.add_row(name, f"{size:,}", *milliseconds, *ratios)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
