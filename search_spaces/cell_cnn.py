"""A convolutional cell with a block on every edge, stacked in three stages (Dong & Yang, ICLR 2020, NAS-Bench-201).

Six edges of a four-node cell choose one of five blocks: 5^6 = 15,625 architectures, one decision an edge for all cells.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Choice, chain, choice, dense_cell, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space


def cell_cnn(b: Blocks, task: TaskInfo, *, channels: int = 16, cells: int = 1) -> Space:
    """A cell with a block on each edge, in three stages (NAS-Bench-201)."""

    def edge(i: int, j: int) -> Choice:
        return choice(
            f"edge{i}{j}",
            none=b.zero(),
            skip=b.identity(),
            conv1x1=b.conv(kernel=1, order="act_conv_norm"),
            conv3x3=b.conv(kernel=3, order="act_conv_norm"),
            avg_pool3x3=b.avg_pool(kernel=3),
        )

    cell = repeat(dense_cell(4, edge, join=b.add()), cells)
    graph = chain(
        stem=b.conv(channels=channels, order="conv_norm"),
        stage1=cell,
        down1=b.reduction(channels=2 * channels),
        stage2=cell,
        down2=b.reduction(channels=4 * channels),
        stage3=cell,
        head=b.classifier(classes=task.classes, norm_act=True),
    )
    residual = {"edge01": "conv3x3", "edge12": "none", "edge23": "none", "edge02": "none"}
    return Space(graph, reference=residual | {"edge13": "conv3x3", "edge03": "skip"})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("cell_cnn", cell_cnn)
