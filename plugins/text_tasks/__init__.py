"""Tasks on text: classes and values of texts, language models, pairs of texts; and small texts made by code."""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar

HERE = "nas_plugins.text_tasks"
TABLES = (".tsv", ".tsv.gz")
TEXTS = (".txt", ".txt.gz")


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the tasks."""
    registry.task(
        "text",
        f"{HERE}.text:text",
        suffixes=TABLES,
        claims=f"{HERE}.text:claims",
        summary="texts with a class or a number: columns label and text, perhaps after split or id",
    )
    registry.task(
        "pairs",
        f"{HERE}.pairs:pairs",
        suffixes=TABLES,
        claims=f"{HERE}.pairs:claims",
        summary="from one text to another: columns source and target, perhaps after split",
    )
    registry.task("language", f"{HERE}.language:language", suffixes=TEXTS, summary="the next token of a text file")
    registry.task("masked", f"{HERE}.language:masked", summary="tokens hidden in a text file, to start others from")
    registry.task("toy_text", f"{HERE}.toys:toy_text", summary="made reviews, negative, mixed or positive")
    registry.task("toy_language", f"{HERE}.toys:toy_language", summary="a made text of sums in words, by characters")
    registry.task("toy_reverse", f"{HERE}.toys:toy_reverse", summary="made words to be written backwards")
