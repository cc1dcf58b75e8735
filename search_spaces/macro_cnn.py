"""A convolutional network's large shape: depth, width and kind of block of every stage.

Each of `stages` stages decides its kind of block (3), its width (3) and its depth 1..`depth`, on its own:
(3 * 3 * depth)^stages architectures; 19,683 with the defaults. After Radosavovic et al., CVPR 2020 (design spaces).
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space


def macro_cnn(b: Blocks, task: TaskInfo, *, channels: int = 16, stages: int = 3, depth: int = 3) -> Space:
    """Block type, width and depth of each stage of a convolutional network."""
    parts: dict[str, Element] = {"stem": b.conv(channels=channels)}
    for i in range(1, stages + 1):
        base = channels * 2 ** (i - 1)
        width = choice(f"stage{i}/width", base // 2, base, 2 * base)
        block = choice(
            f"stage{i}/block",
            basic=b.residual_basic(channels=width),
            bottleneck=b.residual_bottleneck(channels=width),
            mbconv=b.mbconv(channels=width),
        )
        parts[f"stage{i}"] = repeat(block, choice(f"stage{i}/depth", *range(1, depth + 1)), name="block")
        if i < stages:
            parts[f"down{i}"] = b.reduction(channels=width)
    parts["head"] = b.classifier(classes=task.classes)
    reference = {f"stage{i}/width": channels * 2 ** (i - 1) for i in range(1, stages + 1)}
    reference |= {f"stage{i}/depth": min(2, depth) for i in range(1, stages + 1)}
    return Space(chain(**parts), reference=reference)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("macro_cnn", macro_cnn)
