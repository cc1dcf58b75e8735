"""Convolution first, attention after it (Dai et al., NeurIPS 2021, CoAtNet; Xiao et al., NeurIPS 2021).

One to three stages of convolutions, each halving height and width, with a kind of block (2) and a depth (3) of its own;
their pixels are the positions of a Transformer with a width (3), depth (4), heads (3), MLP ratio (3) and learned or no
positions (2): (6 + 6^2 + 6^3) * 3 * 4 * 3 * 3 * 2 = 55,728 architectures.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Choice, chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space

STAGES = (1, 2, 3)


def conv_attention(b: Blocks, task: TaskInfo, *, channels: int = 16, width: int = 64, dropout: float = 0.0) -> Space:
    """How many stages of convolutions and of which blocks, then the shape of a Transformer over their pixels."""
    if [port.kind for port in task.inputs] != ["image"] or task.target == "token":
        coming = " and ".join(map(str, task.inputs))
        raise SpaceError(f"conv_attention takes one image and gives one answer, got {coming}")
    if width % 16:
        raise SpaceError(f"half the width is cut into 8 heads: give a multiple of 16 as width, got {width}")

    def stage(i: int) -> Choice:
        more, wide = choice(f"stage{i}/more", 0, 1, 2), {"channels": channels * 2**i}
        kinds = {"basic": b.residual_basic, "mbconv": b.mbconv}
        stages = {
            name: chain(down=kind(stride=2, **wide), blocks=repeat(kind(**wide), more, name="block"))
            for name, kind in kinds.items()
        }
        return choice(f"stage{i}/block", **stages)

    layer = b.encoder_layer(heads=choice("heads", 2, 4, 8), mlp_ratio=choice("mlp_ratio", 2, 3, 4), dropout=dropout)
    graph = chain(
        stem=b.conv(channels=channels),
        stages=Choice(
            "stages", tuple(chain(**{f"stage{i}": stage(i) for i in range(1, n + 1)}) for n in STAGES), STAGES
        ),
        pixels=b.patch_embedding(patch=1, features=choice("width", width // 2, width, 2 * width)),
        positions=b.position_embedding(position=choice("position", "learned", "none"), dropout=dropout),
        layers=repeat(layer, choice("depth", 1, 2, 3, 4), name="layer"),
        norm=b.layer_norm(),
        head=b.sequence_head(outputs=task.outputs),
    )
    reference = {"stages": 2, "width": width, "depth": 2, "heads": 4, "mlp_ratio": 4}
    return Space(graph, reference=reference, recipe={"optimizer": "adamw"})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("conv_attention", conv_attention)
