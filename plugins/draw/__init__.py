"""``nas draw``: a search space, or the network of one trial, as a picture.

`build.py` makes boxes of a graph, `prune.py` leaves out of a network what computes nothing, `layers.py` and `layout.py`
give every box a place, and `render.py` writes the file.
"""

from __future__ import annotations

from pathlib import Path

import click

from nas.errors import ConfigError
from nas.plugin.hooks import hookimpl


@click.command()
@click.argument("what", metavar="SPACE[:K=V,..]|RUN")
@click.option("--to", type=click.Path(path_type=Path), required=True, help="The file: .svg, .png or .pdf.")
@click.option(
    "--task", metavar="NAME|FILE", help="The task whose shapes the space gets [the first built-in that fits]."
)
@click.option("--trial", type=int, metavar="N", help="The trial of a run [its best].")
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help="A Python file with a plugin.")
def draw(what: str, to: Path, task: str | None, trial: int | None, plugins: tuple[str, ...]) -> None:
    """Draw a search space with its choices, or the network of a trial with its shapes (extra `plots`)."""
    from .pictures import picture_of_run, picture_of_space
    from .render import write

    if (Path(what) / "config.json").is_file():
        picture = picture_of_run(Path(what), trial)
    elif trial is not None:
        raise ConfigError(f"--trial asks for the folder of a run, got {what!r}")
    else:
        picture = picture_of_space(what, task, plugins)
    write(picture, to)
    click.echo(str(to))


@hookimpl
def nas_add_commands(group: click.Group) -> None:
    """Add the command."""
    group.add_command(draw)
