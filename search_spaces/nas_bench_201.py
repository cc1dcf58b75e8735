"""NAS-Bench-201 as published (Dong & Yang, ICLR 2020): 16 channels, three stages of five equal cells.

Six edges of a four-node cell choose one of five operations: 5^6 = 15,625 architectures, all trained in the paper. The
options have the names that its strings use: ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``.
"""

import re

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.architecture import Architecture
from nas.space.graph import chain, choice, dense_cell, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space

STRING = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")
EDGES = ("edge01", "edge02", "edge12", "edge03", "edge13", "edge23")
RESNET = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"


def nas_bench_201(b: Blocks, task: TaskInfo, *, channels: int = 16, cells: int = 5) -> Space:
    """A cell with an operation on each edge, as published: 16 channels, 3 x 5 cells."""
    convs = {f"nor_conv_{k}x{k}": b.conv(kernel=k, order="act_conv_norm") for k in (1, 3)}
    ops = {"none": b.zero(), "skip_connect": b.identity()} | convs | {"avg_pool_3x3": b.avg_pool(kernel=3)}
    cell = repeat(dense_cell(4, lambda i, j: choice(f"edge{i}{j}", **ops), join=b.add()), cells)
    graph = chain(
        stem=b.conv(channels=channels, order="conv_norm"),
        stage1=cell,
        down1=b.reduction(),
        stage2=cell,
        down2=b.reduction(),
        stage3=cell,
        head=b.classifier(classes=task.classes, norm_act=True),
    )
    return Space(graph, reference=read(RESNET))


def read(text: str) -> dict[str, str]:
    """The decisions that a published string stands for; raises SpaceError for any other text."""
    if found := STRING.fullmatch(text):
        return dict(zip(EDGES, found.groups(), strict=True))
    raise SpaceError(f"expected a string like {RESNET!r}, got {text!r}")


def from_string(space: Space, text: str) -> Architecture:
    """The architecture of a published string; raises SpaceError for any other text."""
    return space.architecture(read(text))


def to_string(architecture: Architecture) -> str:
    """The string by which an architecture of this space is published."""
    ops = iter(architecture.decisions[edge] for edge in EDGES)
    return "+".join("|" + "".join(f"{next(ops)}~{i}|" for i in range(j)) for j in (1, 2, 3))


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("nas_bench_201", nas_bench_201)
