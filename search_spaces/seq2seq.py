"""An encoder-decoder Transformer from tokens to tokens, with embeddings and positions (Vaswani et al., NeurIPS 2017).

From the source and the target so far to the next token at every position of the target. Width (3), depth of encoder (4)
and decoder (4), heads (3), ratio (3) and activation (3) of feed-forward networks, where the norm stands (2), positions
(2): 3 * 4 * 4 * 3 * 3 * 3 * 2 * 2 = 5,184 architectures; all layers of a network are alike.
"""

from __future__ import annotations

from itertools import pairwise

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import Choice, Element, Graph, chain, choice, graph, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space

DEPTHS = (1, 2, 4, 6)


def seq2seq(b: Blocks, task: TaskInfo, *, width: int = 256, dropout: float = 0.0) -> Space:
    """Width, depths, heads, feed-forward networks, norm and positions of an encoder-decoder Transformer."""
    kinds = [port.kind for port in task.inputs]
    if kinds != ["tokens", "tokens"] or task.target != "token" or not task.vocabulary:
        raise SpaceError(f"seq2seq takes source and target tokens of one vocabulary, got {' and '.join(kinds)}")
    if width % 16:
        raise SpaceError(f"half the width is cut into 8 heads: give a multiple of 16 as width, got {width}")
    order, position = choice("order", "pre", "post"), choice("position", "learned", "sinusoidal")
    shared = {"heads": choice("heads", 2, 4, 8), "mlp_ratio": choice("mlp_ratio", 2, 4, 8), "order": order}
    shared |= {"activation": choice("activation", "relu", "gelu", "swiglu")}
    layer = b.encoder_layer(**shared, dropout=dropout)
    read, norm = b.cross_decoder_layer(**shared, dropout=dropout), b.final_norm(order=order)
    embed = b.embedding(vocabulary=task.vocabulary, features=choice("width", width // 2, width, 2 * width), std=0.2)
    start = chain(embed=embed, positions=b.position_embedding(position=position, dropout=dropout))

    def stack(depth: int) -> Graph:
        names = ["x", *(f"layer{i}" for i in range(depth))]
        return graph(["x", "memory"], {new: (read, (old, "memory")) for old, new in pairwise(names)}, names[-1])

    nodes: dict[str, tuple[Element, object]] = {
        "from": (start, "source"),
        "encoder": (repeat(layer, choice("encoder_depth", *DEPTHS), name="layer"), "from"),
        "memory": (norm, "encoder"),
        "to": (start, "target"),
        "decoder": (Choice("decoder_depth", tuple(map(stack, DEPTHS)), DEPTHS), ("to", "memory")),
        "norm": (norm, "decoder"),
        "head": (b.vocabulary_head(vocabulary=task.outputs), "norm"),
    }
    reference = {"width": width, "encoder_depth": 2, "decoder_depth": 2, "heads": 8, "mlp_ratio": 4}
    return Space(graph(["source", "target"], nodes, "head"), reference=reference)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("seq2seq", seq2seq)
