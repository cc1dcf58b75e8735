"""``nas tabulate``: trains the architectures of a space and writes down what every epoch gave."""

from __future__ import annotations

import time
from pathlib import Path

import click

from nas.config import parse_pairs
from nas.errors import ConfigError
from nas.plugin.hooks import hookimpl
from nas.space.graph import Scalar

EVERY = 15.0
"""Seconds between two lines of progress."""


@click.command()
@click.option("--space", required=True, metavar="NAME[:K=V,..]", help="The search space.")
@click.option("--only", multiple=True, metavar="LABEL=A|B", help="Options that a decision keeps; may be given often.")
@click.option("--task", default="digits", show_default=True, metavar="NAME|FILE", help="What is trained on.")
@click.option("--samples", type=int, metavar="N", help="Networks to train [all of a small space].")
@click.option("--seeds", type=int, default=2, show_default=True, help="Trainings of each.")
@click.option("--epochs", type=int, help="Epochs of each training.")
@click.option("--recipe", metavar="K=V,..", help="Other settings of the training, as lr=0.1,batch_size=64.")
@click.option("--processes", type=int, default=1, show_default=True, help="Trainings at a time, one core each.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file: .npz.")
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help="A Python file with a plugin.")
def tabulate(
    space: str,
    only: tuple[str, ...],
    task: str,
    samples: int | None,
    seeds: int,
    epochs: int | None,
    recipe: str | None,
    processes: int,
    out: Path,
    plugins: tuple[str, ...],
) -> None:
    """Train the networks of a space and write a table for `nas benchmark`; run it again to go on when stopped."""
    if out.suffix != ".npz":
        raise ConfigError(f"expected --out to end in .npz, got {out}")
    if processes < 1:
        raise ConfigError(f"expected --processes to be at least 1, got {processes}")
    from nas.plugin.manager import create_manager

    from .make import make, make_setup

    told = parse_pairs(recipe or "") | ({"epochs": epochs} if epochs is not None else {})
    registry = create_manager(plugins).registry
    setup = make_setup(registry, space, dict(map(_kept, only)), task, told, seeds, samples)
    begun = shown = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if done == total or time.monotonic() - shown > EVERY:
            shown = time.monotonic()
            left = (shown - begun) / done * (total - done)
            click.echo(f"{done}/{total} done, {left / 60:.1f} minutes left")

    made = make(setup, out, plugins=plugins, processes=processes, progress=progress)
    rows = sum(record.has(seeds) for record in made.records)
    refused = sum(bool(record.refused) for record in made.records)
    click.echo(f"{out}: {rows} networks, {refused} that cannot be built left out, {out.stat().st_size / 1024:.0f} kB")


def _kept(text: str) -> tuple[str, list[Scalar]]:
    """``depth=1|2`` as a label and the names of its options."""
    label, equals, names = text.partition("=")
    if not equals or not label or not names:
        raise ConfigError(f"expected --only LABEL=A|B, got {text!r}")
    return label, [parse_pairs(f"name={name}")["name"] for name in names.split("|")]


@hookimpl
def nas_add_commands(group: click.Group) -> None:
    """Add the command."""
    group.add_command(tabulate)
