"""``nas dashboard RUN``: optuna-dashboard on a search's ledger, while it runs or after."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from nas.errors import ConfigError, LedgerError
from nas.plugin.hooks import hookimpl


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--port", default=8080, show_default=True, help="The port to serve on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
def dashboard(run: Path, port: int, host: str) -> None:
    """Serve optuna-dashboard on the ledger of a search (extra `dashboard`)."""
    if find_spec("optuna_dashboard") is None:
        raise ConfigError("optuna-dashboard is not installed; pip install 'graphnas[dashboard]'")
    ledger = run / "ledger.journal"
    if not ledger.is_file():
        raise LedgerError(f"{run} holds no search (no {ledger.name} in it)")
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import run_server

    click.echo(f"http://{host}:{port}/ shows {run}; Ctrl-C ends it")
    run_server(JournalStorage(JournalFileBackend(str(ledger.resolve()))), host=host, port=port)


@hookimpl
def nas_add_commands(group: click.Group) -> None:
    """Add the command."""
    group.add_command(dashboard)
