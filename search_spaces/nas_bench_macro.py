"""NAS-Bench-Macro (Su et al., CVPR 2021): eight layers, each nothing or one of two inverted bottlenecks.

3^8 = 6,561 architectures in stages of 2, 3 and 3 layers, all trained in the paper. The first layer of a stage halves
the image and doubles the channels; there nothing is a pointwise convolution of stride 2.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, chain, choice
from nas.space.ports import TaskInfo
from nas.space.space import Space


def nas_bench_macro(b: Blocks, task: TaskInfo, *, channels: int = 32) -> Space:
    """Nothing, MBConv of kernel 3 or MBConv of kernel 5 in each of eight layers, as published."""
    parts: dict[str, Element] = {"stem": b.conv(channels=channels)}
    for i in range(8):
        first = i in (0, 2, 5)
        channels *= 2 if first else 1
        stride = 2 if first else 1
        halve = b.conv(channels=channels, kernel=1, stride=2, order="conv_norm")
        parts[f"layer{i}"] = choice(
            f"layer{i}",
            identity=halve if first else b.identity(),
            mb3_k3=b.mbconv(channels=channels, kernel=3, expansion=3, stride=stride, squeeze=0.0, activation="relu"),
            mb6_k5=b.mbconv(channels=channels, kernel=5, expansion=6, stride=stride, squeeze=0.0, activation="relu"),
        )
    head = {"last": b.conv(channels=1280, kernel=1), "head": b.classifier(classes=task.classes)}
    return Space(chain(**parts, **head), reference={f"layer{i}": "mb3_k3" for i in range(8)})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("nas_bench_macro", nas_bench_macro)
