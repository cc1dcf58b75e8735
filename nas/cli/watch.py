"""Which view of a search fits where it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from nas.api import Run
from nas.cli.lines import JsonView, LineView, QuietView, taken_stdout
from nas.cli.live import TableView
from nas.cli.tables import console
from nas.controller.controller import Watcher
from nas.errors import ConfigError


class View(Watcher, Protocol):
    """What shows a search: a watcher of its events that is told of the end."""

    def end(self, run: Run) -> None:
        """Shows how it ended."""
        ...

    def close(self) -> None:
        """Gives back what it holds, also after an error."""
        ...


@contextmanager
def watch(*, quiet: bool, json_lines: bool) -> Iterator[View]:
    """A live table on a terminal, plain lines elsewhere, the result alone when quiet, or JSON lines for a program."""
    if quiet and json_lines:
        raise ConfigError("expected --quiet or --json-lines, got both; drop one")
    view = _view(quiet, json_lines)
    try:
        yield view
    finally:
        view.close()


def _view(quiet: bool, json_lines: bool) -> View:
    if json_lines:
        return JsonView(taken_stdout())
    out = console()
    if quiet:
        return QuietView(out)
    return TableView(out) if out.is_terminal else LineView(out)
