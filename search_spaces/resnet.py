"""Residual networks (He et al., CVPR 2016): kind of block, and depth and width of each of four stages.

Basic or bottleneck blocks (2), 1, 2, 3, 4 or 6 a stage (5^4), half, once or twice as wide a stage (3^4): 2 * 5^4 * 3^4
= 101,250 architectures, ResNet-18 (``2, 2, 2, 2`` basic), -34 and -50 (``3, 4, 6, 3``) among them. Images of 64 pixels
and more get the stem of a ResNet for ImageNet, smaller ones a convolution of kernel 3.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Choice, Element, Graph, chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space

DEPTHS = (1, 2, 3, 4, 6)


def resnet(b: Blocks, task: TaskInfo, *, channels: int = 64) -> Space:
    """Basic or bottleneck blocks, and depth and width of each of four stages."""
    large = min(task.input.shape[1:]) >= 64
    kinds = {"basic": (b.residual_basic, 1), "bottleneck": (b.residual_bottleneck, 4)}

    def network(kind: str) -> Graph:
        block, wider = kinds[kind]
        parts: dict[str, Element] = {"stem": b.conv(channels=channels)}
        if large:
            parts = {"stem": b.conv(channels=channels, kernel=7, stride=2), "pool": b.max_pool(kernel=3, stride=2)}
        for i in range(1, 5):
            base = wider * channels * 2 ** (i - 1)
            width = Choice(f"stage{i}/width_{kind}", (base // 2, base, 2 * base), ("half", "full", "double"))
            more = Choice(f"stage{i}/depth", tuple(n - 1 for n in DEPTHS), DEPTHS)
            first = block(channels=width, stride=1 if i == 1 else 2)
            parts[f"stage{i}"] = chain(first=first, more=repeat(block(), more, name="block"))
        return chain(**parts, head=b.classifier(classes=task.classes))

    reference = {f"stage{i}/width_basic": "full" for i in range(1, 5)} | {f"stage{i}/depth": 2 for i in range(1, 5)}
    return Space(chain(network=choice("block", **{kind: network(kind) for kind in kinds})), reference=reference)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("resnet", resnet)
