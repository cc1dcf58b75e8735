"""Convolutional networks as people write them: convolutions, most with a pool, then linear layers (LeCun et al. 1998).

1 to 3 convolutions (width 5, kernel 2, pool 3), all numbers or each channel's mean (2), 0 to 2 linear layers (width 6,
dropout 3) before the last: (30 + 30^2 + 30^3) * 2 * (1 + 18 + 18^2) = 19,159,980 architectures. Among them are LeNet
and the usual two convolutions of 32 and 64 channels with a hidden layer of 128; ``padding=valid`` says them exactly.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space


def plain_cnn(
    b: Blocks,
    task: TaskInfo,
    *,
    depth: int = 3,
    padding: str = "same",
    norm: bool = False,
    activation: str = "relu",
) -> Space:
    """Convolutions, pools and linear layers, each with its own width; no shortcuts."""
    pools = {"none": b.identity(), "max": b.pool2d(), "avg": b.pool2d(kind="avg")}
    conv = b.conv2d(
        channels=choice("channels", 6, 16, 32, 64, 128),
        kernel=choice("kernel", 3, 5),
        padding=padding,
        norm=norm,
        activation=activation,
    )
    drop = choice("dropout", none=b.identity(), quarter=b.dropout(rate=0.25), half=b.dropout(rate=0.5))
    features = choice("features", 64, 84, 120, 128, 256, 512)
    dense = chain(linear=b.linear(features=features), act=b.activation(kind=activation), dropout=drop)
    graph = chain(
        conv=repeat(
            chain(conv=conv, pool=choice("pool", **pools)),
            choice("convolutions", *range(1, depth + 1)),
            tied=False,
            name="layer",
        ),
        flatten=choice("readout", all=b.flatten(), mean=b.global_pool()),
        dense=repeat(dense, choice("hidden", 0, 1, 2), tied=False, name="layer"),
        head=b.linear(features=task.outputs),
    )
    usual = {"convolutions": min(2, depth), "hidden": 1, "dense/layer0/features": 128}
    usual |= {f"conv/layer{i}/channels": 32 * (i + 1) for i in range(min(2, depth))}
    return Space(graph, reference=usual | {f"conv/layer{i}/pool": "max" for i in range(min(2, depth))})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("plain_cnn", plain_cnn)
