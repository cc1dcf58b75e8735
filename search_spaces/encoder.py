"""A Transformer encoder for tokens or sequences (Devlin et al., NAACL 2019, BERT): all layers are alike.

Width (3), depth (4), heads (3), ratio of the feed-forward network (3), its activation (3), norm (2), where that stands
(2) and position code (5): 3 * 4 * 3 * 3 * 3 * 2 * 2 * 5 = 6,480 architectures. Tasks that ask for a token at every
position get the masked-token head, others the mean of all positions.
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import chain, choice, repeat
from nas.space.ports import TaskInfo
from nas.space.space import Space


def encoder(b: Blocks, task: TaskInfo, *, width: int = 128, depth: int = 2, dropout: float = 0.0) -> Space:
    """Width, depth, attention, feed-forward network, norm and position code of a BERT-like encoder."""
    kinds = [port.kind for port in task.inputs]
    if kinds not in (["tokens"], ["sequence"]) or (kinds == ["tokens"] and not task.vocabulary):
        raise SpaceError(f"an encoder takes a sequence or tokens of a known vocabulary, got {' and '.join(kinds)}")
    if width % 32:
        raise SpaceError(f"half the width is cut into 8 heads: give a multiple of 32 as width, got {width}")
    features = choice("width", width // 2, width, 2 * width)
    norm, order = choice("norm", "layer_norm", "rms_norm"), choice("order", "pre", "post")
    position = choice("position", "learned", "sinusoidal", "rotary", "alibi", "none")
    layer = b.encoder_layer(
        heads=choice("heads", 2, 4, 8),
        mlp_ratio=choice("mlp_ratio", 2, 3, 4),
        activation=choice("activation", "gelu", "relu", "swiglu"),
        norm=norm,
        order=order,
        position=position,
        dropout=dropout,
    )
    words = b.embedding(vocabulary=task.vocabulary, features=features, std=0.2)
    classes, each = b.sequence_head(outputs=task.outputs), b.masked_token_head(vocabulary=task.outputs)
    graph = chain(
        embed=words if kinds == ["tokens"] else b.linear(features=features),
        positions=b.position_embedding(position=position, dropout=dropout),
        layers=repeat(layer, choice("depth", *(n * depth for n in (1, 2, 3, 4))), name="layer"),
        norm=b.final_norm(norm=norm, order=order),
        head=each if task.target == "token" else classes,
    )
    return Space(graph, reference={"width": width, "depth": 2 * depth, "heads": 4, "mlp_ratio": 4})


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space."""
    registry.space("encoder", encoder)
