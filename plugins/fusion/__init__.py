"""Blocks in which several inputs meet: towers of images, text, audio and numbers.

Each takes any number of sequences and vectors, at least two, mixed as they come.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar

BLOCKS = "nas_plugins.fusion.blocks"
INPUTS = ("sequence|vector", "*")


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register four ways to join inputs."""
    registry.block(
        "concat_fusion",
        f"{BLOCKS}:ConcatFusion",
        inputs=INPUTS,
        output="vector",
        keeps_zero=True,
        summary="vectors side by side, sequences by their mean",
    )
    for name, target, summary in (
        ("sum_fusion", "SumFusion", "the sum of a linear map of each input"),
        ("gated_fusion", "GatedFusion", "a sum in which each input has a gate that sees all (GMU)"),
    ):
        registry.block(
            name,
            f"{BLOCKS}:{target}",
            inputs=INPUTS,
            output="vector",
            parameters={"features": 64},
            summary=summary,
        )
    registry.block(
        "cross_fusion",
        f"{BLOCKS}:CrossFusion",
        inputs=INPUTS,
        output="sequence",
        parameters={"features": 64, "heads": 4},
        summary="each input attends to all the others; the outcomes in one sequence",
    )
