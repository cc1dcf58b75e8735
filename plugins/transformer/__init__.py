"""Transformer blocks, by the names that search spaces use.

`layers.py` has attention, feed-forward networks and whole layers; `linear.py` linear attention; `sequences.py` what
makes sequences; `heads.py` what reads them. A network is said with whole layers (``b.encoder_layer(heads=4)``) or
written out of parts (``x + attention(layer_norm(x))``). Each file stands for itself, because an exported model gets the
source of the classes that it uses.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar
from nas.space.graph import Value

HERE = "nas_plugins.transformer"
SEQUENCE = ("sequence",)
TWO = ("sequence", "sequence")
VECTORS = ("sequence|vector",)

HEADS: dict[str, Value] = {"heads": 4, "kv_heads": None, "head_features": None, "bias": True, "dropout": 0.0}
CODE: dict[str, Value] = {"position": "none", "rotary_share": 1.0}
MLP: dict[str, Value] = {"ratio": 4.0, "activation": "gelu", "bias": True, "dropout": 0.0}
CROSS: dict[str, Value] = {
    "heads": 4,
    "mlp_ratio": 4.0,
    "activation": "gelu",
    "norm": "layer_norm",
    "order": "pre",
    "position": "none",
    "bias": True,
    "dropout": 0.0,
}
LAYER: dict[str, Value] = {**CROSS, **HEADS, **CODE, "experts": 1}


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register parts, whole layers, what makes sequences and what reads them."""
    _parts(registry)
    _layers(registry)
    _sequences(registry)
    _heads(registry)


def _parts(registry: Registrar) -> None:
    experts: dict[str, Value] = {"experts": 4, "top": 2}
    linear: dict[str, Value] = {"heads": 4, "causal": False, "bias": True}
    for name, target, inputs, parameters, summary in (
        ("attention", "layers:Attention", SEQUENCE, HEADS | CODE | {"causal": False}, "multi-head self-attention"),
        ("cross_attention", "layers:CrossAttention", TWO, HEADS, "attention from one sequence to another"),
        ("linear_attention", "linear:LinearAttention", SEQUENCE, linear, "attention without a softmax, linear in L"),
        ("feed_forward", "layers:FeedForward", VECTORS, MLP, "two linear maps at every position, perhaps gated"),
        ("mixture_of_experts", "layers:MixtureOfExperts", SEQUENCE, MLP | experts, "feed-forward nets chosen by token"),
    ):
        output = "same" if inputs == VECTORS else "sequence"
        registry.block(name, f"{HERE}.{target}", inputs=inputs, output=output, parameters=parameters, summary=summary)


def _layers(registry: Registrar) -> None:
    for name, target, inputs, parameters, summary in (
        ("encoder_layer", "EncoderLayer", SEQUENCE, LAYER, "self-attention and feed-forward network"),
        ("decoder_layer", "DecoderLayer", SEQUENCE, LAYER, "causal self-attention and feed-forward network"),
        ("cross_decoder_layer", "CrossDecoderLayer", TWO, CROSS, "decoder layer that attends to an encoder's output"),
    ):
        registry.block(
            name, f"{HERE}.layers:{target}", inputs=inputs, output="sequence", parameters=parameters, summary=summary
        )


def _sequences(registry: Registrar) -> None:
    registry.block(
        "patch_embedding",
        f"{HERE}.sequences:PatchEmbedding",
        inputs=("image",),
        output="sequence",
        parameters={"features": 64, "patch": 4, "class_token": False},
        summary="patches of an image as a sequence (ViT)",
    )
    registry.block(
        "position_embedding",
        f"{HERE}.sequences:PositionEmbedding",
        inputs=SEQUENCE,
        output="sequence",
        parameters={"position": "learned", "std": 0.2, "dropout": 0.0},
        summary="adds a learned or sinusoidal code of each position",
    )
    final: dict[str, Value] = {"norm": "layer_norm", "order": "pre"}
    for name, target, parameters, summary in (
        ("layer_norm", "LayerNorm", {}, "features to mean 0 and deviation 1"),
        ("rms_norm", "RMSNorm", {}, "features to mean square 1"),
        ("final_norm", "FinalNorm", final, "the norm after a stack of layers that normalise what they read"),
    ):
        registry.block(
            name,
            f"{HERE}.sequences:{target}",
            inputs=VECTORS,
            parameters=parameters,
            keeps_zero=True,
            summary=summary,
        )


def _heads(registry: Registrar) -> None:
    registry.block(
        "sequence_head",
        f"{HERE}.heads:SequenceHead",
        inputs=VECTORS,
        output="vector",
        parameters={"outputs": 10, "pool": "mean", "dropout": 0.0},
        summary="classes or values from the mean, first or last position",
    )
    registry.block(
        "masked_token_head",
        f"{HERE}.heads:MaskedTokenHead",
        inputs=SEQUENCE,
        output="sequence",
        parameters={"vocabulary": 256},
        summary="scores of the token hidden at each position (BERT)",
    )
