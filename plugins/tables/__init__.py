"""Tables of trained architectures: three that were made here, published ones whose file a user names, and a maker.

`own.py` reads what `make.py` trained and `records.py` wrote, for ``nas tabulate``; `files.py` opens published files,
and each other module is one of those: its space, its rows, and the paper it comes from.
"""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar

from .command import nas_add_commands

__all__ = ["nas_add_commands", "nas_register"]


TABLES = {
    "digits_cnn": ("own", "361 convolutional cells, trained here on scikit-learn's digits"),
    "digits_rnn": ("own", "384 recurrent stacks, trained here on the rows of scikit-learn's digits"),
    "digits_transformer": ("own", "432 Transformer encoders, trained here on the rows of scikit-learn's digits"),
    "tabulated": ("own", "a file made by `nas tabulate`"),
    "nas_bench_201": ("nas_bench_201", "15,625 convolutional cells on CIFAR-10 (Dong & Yang, ICLR 2020)"),
    "nas_bench_nlp": ("nas_bench_nlp", "265 recurrent language models on WikiText-2 (Klyuchnikov et al., 2022)"),
    "hwgpt_s": ("hwgpt_s", "decoders, perplexity against latency (Sukthanker et al., NeurIPS 2024)"),
}
"""Name -> the file it is in, and a line about it."""


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the tables."""
    for name, (file, summary) in TABLES.items():
        registry.table(name, f"nas_plugins.tables.{file}:{name}", summary=summary)
