"""Convolutional blocks, by the names that search spaces use.

`blocks.py` has the blocks of most spaces, `layers.py` layers as frameworks have them, `mobile.py` ShuffleNet and Ghost
units, `convnext.py` ConvNeXt and stochastic depth, `signals.py` what slides along sequences. A new family is one more
file beside them and its lines here; each file stands for itself, because an exported model gets the source of the
classes that it uses. A grouped convolution is ``b.conv(groups=...)``, a searched one ``groups=choice(...)``.
"""

from __future__ import annotations

from typing import NamedTuple

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar
from nas.space.graph import Value

HERE = "nas_plugins.cnn"
Parameters = dict[str, Value]

PLAIN: Parameters = {"channels": None, "kernel": 3, "stride": 1, "activation": "relu"}
LAYER: Parameters = {"padding": "same", "norm": False}
SIGNAL: Parameters = {"features": None, "stride": 1, "activation": "relu"}
POOL: Parameters = {"kind": "max", "size": 2}
SQUEEZE: Parameters = {"expansion": 6, "squeeze": 0.25, "activation": "silu"}


class _Row(NamedTuple):
    """A block that takes what it gives: one image, or one sequence."""

    name: str
    target: str
    parameters: Parameters
    summary: str
    keeps_zero: bool = True


CONVOLUTIONS = (
    _Row(
        "conv",
        "blocks:Conv",
        PLAIN | {"groups": 1, "dilation": 1, "order": "conv_norm_act"},
        "convolution, batch normalisation and activation, in the order asked for",
    ),
    _Row("separable_conv", "blocks:SeparableConv", PLAIN, "two depthwise-separable convolutions (DARTS)"),
    _Row("dilated_conv", "blocks:DilatedConv", PLAIN | {"dilation": 2}, "dilated depthwise-separable one (DARTS)"),
    _Row("residual_basic", "blocks:ResidualBasic", PLAIN, "two convolutions beside a shortcut (ResNet-18)"),
    _Row(
        "residual_bottleneck",
        "blocks:ResidualBottleneck",
        PLAIN | {"ratio": 4, "groups": 1},
        "narrow, convolve, widen, beside a shortcut (ResNet-50)",
    ),
    _Row("mbconv", "blocks:MBConv", PLAIN | SQUEEZE, "inverted residual bottleneck with squeeze-and-excite (MnasNet)"),
    _Row("shuffle_unit", "mobile:ShuffleUnit", PLAIN, "half of the channels convolved, then shuffled (ShuffleNet V2)"),
    _Row(
        "ghost_conv",
        "mobile:GhostConv",
        PLAIN | {"kernel": 1, "ratio": 2, "cheap": 3},
        "a convolution that makes half of its channels from the others (GhostNet)",
    ),
    _Row(
        "ghost_bottleneck",
        "mobile:GhostBottleneck",
        PLAIN | {"expansion": 3.0, "squeeze": 0.0},
        "widen and narrow by Ghost convolutions, beside a shortcut (GhostNet)",
    ),
    _Row(
        "convnext",
        "convnext:ConvNeXt",
        {"kernel": 7, "ratio": 4, "scale": 1e-6, "drop_path": 0.0},
        "depthwise convolution and a feed-forward network, beside a shortcut (ConvNeXt)",
        keeps_zero=False,
    ),
    _Row("conv2d", "layers:Conv2d", PLAIN | LAYER, "convolution with a bias, and activation", keeps_zero=False),
)

RESIZING = (
    _Row("max_pool", "blocks:MaxPool", {"kernel": 3, "stride": 1}, "the largest of each window"),
    _Row("avg_pool", "blocks:AvgPool", {"kernel": 3, "stride": 1}, "the mean of each window"),
    _Row("pool2d", "layers:Pool2d", POOL, "the largest or the mean of windows that do not overlap"),
    _Row(
        "reduction",
        "blocks:Reduction",
        {"channels": None, "kernel": 3, "activation": "relu"},
        "half the height and width, twice the channels (NAS-Bench-201)",
    ),
    _Row(
        "factorized_reduce",
        "blocks:FactorizedReduce",
        {"channels": None, "activation": "relu"},
        "half the height and width by two pointwise convolutions (DARTS)",
    ),
    _Row(
        "patch_conv",
        "convnext:PatchConv",
        {"channels": None, "size": 2, "norm_first": True},
        "convolution over patches that do not overlap, and layer normalisation (ConvNeXt)",
        keeps_zero=False,
    ),
)

SIGNALS = (
    _Row(
        "conv1d",
        "signals:Conv1d",
        SIGNAL | LAYER | {"kernel": 3, "dilation": 1, "groups": 1},
        "convolution along time with a bias, and activation",
        keeps_zero=False,
    ),
    _Row("pool1d", "signals:Pool1d", POOL, "the largest or the mean of windows of time"),
    _Row("separable_conv1d", "signals:SeparableConv1d", SIGNAL | {"kernel": 9}, "depthwise-separable one along time"),
    _Row("residual1d", "signals:Residual1d", SIGNAL | {"kernel": 9}, "two convolutions along time beside a shortcut"),
)


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Blocks that compute, blocks that pool, blocks that join, and heads."""
    for kind, rows in (("image", (*CONVOLUTIONS, *RESIZING)), ("sequence", SIGNALS)):
        for name, target, parameters, summary, keeps_zero in rows:
            registry.block(
                name,
                f"{HERE}.{target}",
                inputs=(kind,),
                output=kind,
                parameters=parameters,
                keeps_zero=keeps_zero,
                summary=summary,
            )
    _plumbing(registry)
    registry.block(
        "global_pool",
        f"{HERE}.layers:GlobalPool",
        inputs=("image",),
        output="vector",
        parameters={"kind": "avg"},
        keeps_zero=True,
        summary="the mean or the largest of each channel",
    )
    registry.block(
        "classifier",
        f"{HERE}.blocks:Classifier",
        inputs=("image",),
        output="vector",
        parameters={"classes": 10, "dropout": 0.0, "norm_act": False, "activation": "relu"},
        summary="global average pooling, dropout, linear",
    )


def _plumbing(registry: Registrar) -> None:
    blocks = f"{HERE}.blocks"
    registry.block("identity", "torch.nn:Identity", role="identity", summary="what comes in")
    registry.block("zero", f"{blocks}:Zero", role="zero", summary="zeros, as if the edge were not there")
    registry.block("add", f"{blocks}:Add", inputs=("any", "*"), role="sum", summary="the sum of the inputs")
    registry.block(
        "concat",
        f"{blocks}:Concat",
        inputs=("image", "*"),
        output="image",
        keeps_zero=True,
        summary="images side by side in their channels",
    )
    registry.block(
        "drop_path",
        f"{HERE}.convnext:DropPath",
        inputs=("image|sequence|vector",),
        parameters={"rate": 0.1},
        keeps_zero=True,
        summary="whole examples to zero while training (stochastic depth)",
    )
