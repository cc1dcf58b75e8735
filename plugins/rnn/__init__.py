"""Recurrent blocks and what stands around them: embeddings, pooling over time, vectors, cells that are graphs.

The classes are in `layers.py` (over sequences), `cells.py` (the recurrence and what its cell is made of),
`sequences.py` (into sequences and out of them) and `vectors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar
from nas.space.graph import Value

HERE = "nas_plugins.rnn"
SEQUENCE = ("sequence",)
VECTOR = ("vector",)
FLOAT = ("image|sequence|vector",)
FLAT = ("sequence|vector",)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Layers over sequences, recurrent cells, pooling over time, vectors, tokens."""
    _layers(registry)
    _cells(registry)
    _pools(registry)
    _vectors(registry)
    _tokens(registry)


def _layers(registry: Registrar) -> None:
    recurrent: dict[str, Value] = {"hidden": None, "layers": 1, "bidirectional": False, "dropout": 0.0}
    convolution: dict[str, Value] = {"features": None, "kernel": 3, "dilation": 1, "dropout": 0.0}
    for name, target, parameters, summary in (
        ("rnn", "Rnn", recurrent, "Elman's recurrent network"),
        ("lstm", "Lstm", recurrent, "long short-term memory"),
        ("gru", "Gru", recurrent, "gated recurrent unit"),
        ("min_gru", "MinGru", recurrent, "a GRU whose gate sees only the input, all steps at once"),
        ("temporal_conv", "TemporalConv", convolution, "two causal dilated convolutions beside a shortcut (TCN)"),
    ):
        target = f"{HERE}.layers:{target}"
        registry.block(name, target, inputs=SEQUENCE, output="sequence", parameters=parameters, summary=summary)


def _cells(registry: Registrar) -> None:
    cells = f"{HERE}.cells"
    registry.block(
        "recurrence",
        f"{cells}:Recurrence",
        inputs=SEQUENCE,
        output="sequence",
        parameters={"cell": None, "hidden": None, "states": 1},
        summary="a cell that is a graph of its own, run step after step",
    )
    registry.block(
        "cell_linear",
        f"{cells}:CellLinear",
        inputs=("vector", "*"),
        output="vector",
        parameters={"features": None},
        role="symmetric",
        summary="the sum of a linear map of each input, as wide as the cell's state",
    )
    several = ("vector", "*")
    registry.block(
        "blend", f"{cells}:Blend", inputs=VECTOR * 3, output="vector", keeps_zero=True, summary="z x + (1-z) y"
    )
    registry.block(
        "product",
        f"{cells}:Product",
        inputs=several,
        output="vector",
        role="symmetric",
        keeps_zero=True,
        summary="the product of the inputs, element by element",
    )
    registry.block(
        "pack", f"{cells}:Pack", inputs=several, output="vector", keeps_zero=True, summary="vectors side by side"
    )


def _pools(registry: Registrar) -> None:
    parameters: Mapping[str, Value]
    for name, target, parameters, summary in (
        ("last_step", "LastStep", {"bidirectional": False}, "the last step"),
        ("mean_over_time", "MeanOverTime", {}, "the mean of all steps"),
        ("max_over_time", "MaxOverTime", {}, "the largest of all steps, for each feature"),
        ("attention_pool", "AttentionPool", {"hidden": None}, "a mean of all steps weighed by learned attention"),
    ):
        registry.block(
            name,
            f"{HERE}.sequences:{target}",
            inputs=SEQUENCE,
            output="vector",
            parameters=parameters,
            keeps_zero=True,
            summary=summary,
        )


def _vectors(registry: Registrar) -> None:
    vectors = f"{HERE}.vectors"
    linear: dict[str, Value] = {"features": None, "bias": True}
    registry.block(
        "linear", f"{vectors}:Linear", inputs=FLAT, parameters=linear, summary="a linear map of the last axis"
    )
    registry.block("tanh", "torch.nn:Tanh", inputs=FLOAT, keeps_zero=True, summary="hyperbolic tangent")
    registry.block("sigmoid", "torch.nn:Sigmoid", inputs=FLOAT, summary="logistic function")
    parameters: Mapping[str, Value]
    for name, target, inputs, parameters, summary in (
        ("leaky_relu", "LeakyReLU", FLOAT, {"slope": 0.01}, "max(x, slope x)"),
        ("activation", "Activation", FLOAT, {"kind": "relu"}, "an activation by its name"),
        ("dropout", "Dropout", FLOAT, {"rate": 0.5}, "some numbers zero while training"),
        ("batch_norm_vector", "BatchNormVector", VECTOR, {}, "batch normalisation of every feature"),
    ):
        registry.block(
            name, f"{vectors}:{target}", inputs=inputs, parameters=parameters, keeps_zero=True, summary=summary
        )
    registry.block(
        "flatten",
        f"{vectors}:Flatten",
        inputs=FLOAT,
        output="vector",
        keeps_zero=True,
        summary="all numbers of an example in a row",
    )


def _tokens(registry: Registrar) -> None:
    sequences = f"{HERE}.sequences"
    table: dict[str, Value] = {"vocabulary": 256, "features": 64, "dropout": 0.0, "padding": None, "std": 1.0}
    registry.block(
        "embedding",
        f"{sequences}:Embedding",
        inputs=("tokens",),
        output="sequence",
        parameters=table,
        summary="a learned vector for each token",
    )
    registry.block(
        "vocabulary_head",
        f"{sequences}:VocabularyHead",
        inputs=("sequence", "*"),
        output="sequence",
        parameters={"vocabulary": 256, "bias": True},
        summary="a score for each token; a second input, an embedding's output, lends its weights",
    )
    registry.block(
        "image_to_sequence",
        f"{sequences}:ImageToSequence",
        inputs=("image",),
        output="sequence",
        keeps_zero=True,
        summary="the rows of an image as steps",
    )
