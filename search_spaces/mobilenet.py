"""A MobileNetV3-like network (Howard et al., ICCV 2019) with the choices of Once-for-All (Cai et al., ICLR 2020).

Five stages, each of 2 to 4 layers with a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6 a layer: (9^2 + 9^3 + 9^4)^5
= 7,371^5, the paper's "about 2 * 10^19", with ``gates=false``. Else each stage also decides on squeeze-and-excite:
(2 * 7,371)^5 = 696,276,975,762,319,547,232 architectures.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Block, Choice, Element, Graph, Parameter, Scalar, chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space

STAGES = (
    (24, 2, "relu", 0.0, 2, 3, 4),
    (40, 2, "relu", 0.25, 3, 5, 3),
    (80, 2, "hardswish", 0.0, 4, 3, 3),
    (112, 1, "hardswish", 0.25, 2, 3, 6),
    (160, 2, "hardswish", 0.25, 3, 5, 6),
)
"""Channels, stride, activation, gate, depth, kernel and expansion of each stage, about those of MobileNetV3-Large."""


def mobilenet(b: Blocks, task: TaskInfo, *, width: float = 1.0, gates: bool = True) -> Space:
    """Kernel, expansion, depth and gate of a MobileNetV3's layers; an image below 128 pixels is halved less often."""
    spare = max(0, 7 - min(task.input.shape[1:]).bit_length() + 1)

    def layer(place: str, squeeze: float, act: str, channels: int | None = None, stride: int = 1) -> Block:
        kernel, expansion = choice(f"{place}kernel", 3, 5, 7), choice(f"{place}expansion", 3, 4, 6)
        shape: dict[str, Parameter] = {"kernel": kernel, "expansion": expansion, "channels": channels, "stride": stride}
        return b.mbconv(**shape, squeeze=squeeze, activation=act)

    def stage(i: int, squeeze: float, stride: int) -> Graph:
        channels, _, act, *_ = STAGES[i]
        more = Choice(f"stage{i}/depth", (1, 2, 3), (2, 3, 4))
        first = layer(f"stage{i}/", squeeze, act, max(8, round(channels * width / 8) * 8), stride)
        return chain(first=first, more=repeat(layer("", squeeze, act), more, tied=False, name="layer"))

    stem = b.conv(channels=16, stride=1 if spare else 2, activation="hardswish")
    parts: dict[str, Element] = {"stem": stem, "thin": b.mbconv(expansion=1, squeeze=0.0, activation="relu")}
    large: dict[str, Scalar] = {}
    for i, (_, stride, _, squeeze, depth, kernel, expansion) in enumerate(STAGES):
        spare -= 1
        stride = 1 if spare > 0 else stride
        both = {"plain": stage(i, 0.0, stride), "gated": stage(i, 0.25, stride)}
        parts[f"stage{i}"] = choice(f"stage{i}/gate", **both) if gates else stage(i, squeeze, stride)
        large |= {f"stage{i}/depth": depth} | ({f"stage{i}/gate": "gated" if squeeze else "plain"} if gates else {})
        for place in (f"stage{i}", *(f"stage{i}/more/layer{j}" for j in range(depth - 1))):
            large |= {f"{place}/kernel": kernel, f"{place}/expansion": expansion}
    last = b.conv(channels=round(960 * width), kernel=1, activation="hardswish")
    return Space(chain(**parts, last=last, head=b.classifier(classes=task.classes)), reference=large)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("mobilenet", mobilenet)
