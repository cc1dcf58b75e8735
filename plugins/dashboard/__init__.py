"""``nas dashboard RUN``: optuna-dashboard on a search's ledger, while it runs or after; it only reads."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import click

from nas.errors import ConfigError, LedgerError
from nas.plugin.hooks import hookimpl


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--port", default=8080, show_default=True, help="The port to serve on; 0 for any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
def dashboard(run: Path, port: int, host: str) -> None:
    """Serve optuna-dashboard on the ledger of a search (extra `dashboard`); the search is only looked at."""
    if find_spec("optuna_dashboard") is None:
        raise ConfigError("optuna-dashboard is not installed; pip install 'graphnas[dashboard]'")
    ledger = run / "ledger.journal"
    if not ledger.is_file():
        raise LedgerError(f"{run} holds no search (no {ledger.name} in it)")
    from .server import make_server

    try:
        server = make_server(ledger, host, port)
    except OSError as error:
        raise ConfigError(
            f"expected a free port of this machine, got {host}:{port}: {error.strerror}; give another --port"
        ) from error
    with server:
        click.echo(f"http://{host}:{server.server_port}/ shows {run}; Ctrl-C ends it")
        served = Thread(target=server.serve_forever, daemon=True)  # in this thread a request could swallow Ctrl-C
        served.start()
        with suppress(KeyboardInterrupt):
            served.join()


@hookimpl
def nas_add_commands(group: click.Group) -> None:
    """Add the command."""
    group.add_command(dashboard)
