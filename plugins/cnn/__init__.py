"""Convolutional blocks, by the names that search spaces use.

The classes are in `blocks.py`. A new family (ConvNeXt, say) is one more file beside it and its lines here; each file
stands for itself, because an exported model gets the source of the classes that it uses.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar
from nas.space.graph import Value

BLOCKS = "nas_plugins.cnn.blocks"
IMAGE = ("image",)
PLAIN: dict[str, Value] = {"channels": None, "kernel": 3, "stride": 1, "activation": "relu"}


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Blocks that compute, blocks that pool, blocks that join, and the head."""
    _convolutions(registry)
    _pools(registry)
    _plumbing(registry)
    registry.block(
        "classifier",
        f"{BLOCKS}:Classifier",
        inputs=IMAGE,
        output="vector",
        parameters={"classes": 10, "dropout": 0.0, "norm_act": False, "activation": "relu"},
        summary="global average pooling, dropout, linear",
    )


def _convolutions(registry: Registrar) -> None:
    more: dict[str, Value] = {"groups": 1, "dilation": 1, "order": "conv_norm_act"}
    squeeze: dict[str, Value] = {"expansion": 6, "squeeze": 0.25, "activation": "silu"}
    halve: dict[str, Value] = {"channels": None, "kernel": 3, "activation": "relu"}
    for name, target, parameters, summary in (
        ("conv", "Conv", PLAIN | more, "convolution, batch normalisation and activation, in the order asked for"),
        ("separable_conv", "SeparableConv", PLAIN, "two depthwise-separable convolutions (DARTS)"),
        ("dilated_conv", "DilatedConv", PLAIN | {"dilation": 2}, "dilated depthwise-separable convolution (DARTS)"),
        ("residual_basic", "ResidualBasic", PLAIN, "two convolutions beside a shortcut (ResNet-18)"),
        ("residual_bottleneck", "ResidualBottleneck", PLAIN | {"ratio": 4, "groups": 1}, "bottleneck (ResNet-50)"),
        ("mbconv", "MBConv", PLAIN | squeeze, "inverted residual bottleneck with squeeze-and-excite (MnasNet)"),
        ("reduction", "Reduction", halve, "half the height and width, twice the channels (NAS-Bench-201)"),
    ):
        registry.block(
            name,
            f"{BLOCKS}:{target}",
            inputs=IMAGE,
            output="image",
            parameters=parameters,
            keeps_zero=True,
            summary=summary,
        )


def _pools(registry: Registrar) -> None:
    for name, target, summary in (
        ("max_pool", "MaxPool", "the largest of each window"),
        ("avg_pool", "AvgPool", "the mean of each window"),
    ):
        registry.block(
            name,
            f"{BLOCKS}:{target}",
            inputs=IMAGE,
            output="image",
            parameters={"kernel": 3, "stride": 1},
            keeps_zero=True,
            summary=summary,
        )


def _plumbing(registry: Registrar) -> None:
    registry.block("identity", "torch.nn:Identity", role="identity", summary="what comes in")
    registry.block("zero", f"{BLOCKS}:Zero", role="zero", summary="zeros, as if the edge were not there")
    registry.block("add", f"{BLOCKS}:Add", inputs=("any", "*"), role="sum", summary="the sum of the inputs")
    registry.block(
        "concat",
        f"{BLOCKS}:Concat",
        inputs=("image", "*"),
        output="image",
        keeps_zero=True,
        summary="images side by side in their channels",
    )
