"""A vision Transformer: width, depth, and heads and MLP ratio of each layer (Chen et al., ICCV 2021, AutoFormer).

Scale `tiny` is AutoFormer-tiny: 3 widths, and 2 * 2 for each of 12, 13 or 14 layers of 64 features a head:
3 * (4^12 + 4^13 + 4^14) = 1,056,964,608 architectures. `small` and `base` are the paper's too: 3 * (9^12 + 9^13 + 9^14)
and 3 * (9^14 + 9^15 + 9^16). `micro`, 3 * (9^2 + 9^3 + 9^4) = 22,113, is for small images and machines.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space

SCALES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[float, ...], int]] = {
    "micro": ((32, 48, 64), (2, 3, 4), (2, 3, 4), (2.0, 3.0, 4.0), 16),
    "tiny": ((192, 216, 240), (12, 13, 14), (3, 4), (3.5, 4.0), 64),
    "small": ((320, 384, 448), (12, 13, 14), (5, 6, 7), (3.0, 3.5, 4.0), 64),
    "base": ((528, 576, 624), (14, 15, 16), (8, 9, 10), (3.0, 3.5, 4.0), 64),
}
"""Widths, depths, heads, MLP ratios, features a head."""


def vit(b: Blocks, task: TaskInfo, *, scale: str = "tiny", patch: int = 0, dropout: float = 0.0) -> Space:
    """Width, depth, and heads and MLP ratio of each layer of a vision Transformer (AutoFormer).

    patch: the side of a patch; by default 2 or the largest that leaves at least 8 x 8 of them, where that divides.
    """
    if [port.kind for port in task.inputs] != ["image"] or task.target == "token":
        coming = " and ".join(map(str, task.inputs))
        raise SpaceError(f"a vision Transformer takes one image and gives one answer, got {coming}")
    if scale not in SCALES:
        raise SpaceError(f"expected a scale among {', '.join(SCALES)}, got {scale!r}")
    sides = task.input.shape[1:]
    fit = [n for n in range(1, min(sides) + 1) if not any(side % n for side in sides)]
    if patch and patch not in fit:
        raise SpaceError(f"expected a patch that divides {task.input} ({', '.join(map(str, fit))}), got {patch}")
    widths, depths, heads, ratios, features = SCALES[scale]
    side = patch or max(n for n in fit if n <= 2 or n * 8 <= min(sides))
    layer = b.encoder_layer(
        heads=choice("heads", *heads), mlp_ratio=choice("mlp_ratio", *ratios), head_features=features, dropout=dropout
    )
    graph = chain(
        patches=b.patch_embedding(patch=side, features=choice("embed_dim", *widths), class_token=True),
        positions=b.position_embedding(dropout=dropout),
        layers=repeat(layer, choice("depth", *depths), tied=False, name="layer"),
        norm=b.layer_norm(),
        head=b.sequence_head(outputs=task.outputs, pool="first"),
    )
    return Space(
        graph, reference={f"layers/layer{i}/mlp_ratio": 4.0 for i in range(depths[0])}, recipe={"optimizer": "adamw"}
    )


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("vit", vit)
