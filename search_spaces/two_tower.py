"""A tower for each input by its kind, and four ways to join them (Arevalo et al. 2017; Lu et al., NeurIPS 2019).

All towers share a width (3); each has a depth (3) and, for an image, a kind of block (2), for tokens or a sequence, a
number of heads (3). With the ways to join (4): 3 * 4 * 6^images * 9^(tokens and sequences) * 3^vectors architectures;
648 for an image and a text. Any number of inputs from two on.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Element, Graph, chain, choice, graph, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space


def two_tower(b: Blocks, task: TaskInfo, *, width: int = 64, dropout: float = 0.0) -> Space:
    """A convolutional, Transformer or dense tower for each input, and how they are joined."""
    kinds = [port.kind for port in task.inputs]
    if len(kinds) < 2 or task.target == "token" or ("tokens" in kinds and not task.vocabulary):
        raise SpaceError(f"two_tower joins at least two inputs to one answer, got {' and '.join(kinds)}")
    if width % 16:
        raise SpaceError(f"half the width is cut into 8 heads: give a multiple of 16 as width, got {width}")
    features = choice("width", width // 2, width, 2 * width)

    def tower(name: str, kind: str) -> Graph:
        depth, linear = choice(f"{name}/depth", 1, 2, 3), b.linear(features=features)
        if kind == "vector":
            return chain(embed=linear, layers=repeat(b.feed_forward(dropout=dropout), depth, name="layer"))
        if kind == "image":
            block = choice(f"{name}/block", basic=b.residual_basic(), mbconv=b.mbconv())
            stages = repeat(chain(down=b.reduction(), block=block), depth, name="stage")
            pixels = b.patch_embedding(patch=1, features=features)
            return chain(stem=b.conv(channels=width // 4), stages=stages, pixels=pixels)
        words = b.embedding(vocabulary=task.vocabulary, features=features, std=0.2) if kind == "tokens" else linear
        layer = b.encoder_layer(heads=choice(f"{name}/heads", 2, 4, 8), dropout=dropout)
        return chain(embed=words, positions=b.position_embedding(), layers=repeat(layer, depth, name="layer"))

    names = [f"{kind}{i}" for i, kind in enumerate(kinds)]
    nodes: dict[str, tuple[Element, object]] = {
        f"{name}_tower": (tower(name, kind), name) for name, kind in zip(names, kinds, strict=True)
    }
    joins = {"concat": b.concat_fusion(), "sum": b.sum_fusion(features=features)}
    joins |= {"gate": b.gated_fusion(features=features), "cross": b.cross_fusion(features=features)}
    nodes["fusion"] = (choice("fusion", **joins), tuple(nodes))
    nodes["head"] = (b.sequence_head(outputs=task.outputs), "fusion")
    return Space(graph(names, nodes, "head"), reference={"width": width, "fusion": "gate"})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("two_tower", two_tower)
