"""The command line. Heavy packages are imported by the commands that need them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

import nas
from nas.cli import tables
from nas.config import parse_pairs, read_toml
from nas.errors import ConfigError, NasError
from nas.plugin.manager import Manager, create_manager

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
PLUGIN = click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE", help="A Python file with a plugin; may be given often."
)


class _Commands(click.Group):
    """The built-in commands and those that plugins add; an error of ours is one line and exit code 2."""

    def _with_plugins(self) -> None:
        if not self.__dict__.setdefault("_added", False):
            self.__dict__["_added"] = True
            create_manager().hook.nas_add_commands(group=self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._with_plugins()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None:
            self._with_plugins()
            found = super().get_command(ctx, cmd_name)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NasError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(nas.__version__, prog_name="nas")
def main() -> None:
    """Neural architecture search: define a space, search it over Ray Tune, export the best network."""


def _search_options(command: Any) -> Any:
    options = [
        click.option("--space", metavar="NAME[:K=V,..]", help="Search space [cell_cnn]; see `nas spaces`."),
        click.option("--task", metavar="NAME|FILE", help="Task or data file [digits]."),
        click.option(
            "--objective", "objectives", multiple=True, metavar="NAME", help="What to improve [the task's own]."
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="LIMIT",
            help="Train nothing beyond it, as 'params<=1e6', 'flops<=50M' or 'memory_mb<=500'; may be given often.",
        ),
        click.option(
            "--proxy",
            "proxies",
            multiple=True,
            metavar="NAME",
            help="Zero-cost score to choose by, where it is cheap [naswot, synflow]; may be given often.",
        ),
        click.option("--no-proxies", is_flag=True, help="No zero-cost scores."),
        click.option("--epochs", type=int, help="Epochs of each trial."),
        click.option("--recipe", metavar="K=V,..", help="Other settings of the training, as lr=0.1,batch_size=64."),
        click.option("--search-recipe", metavar="K,..", help="Settings to search too, as lr,batch_size."),
        click.option("--seed", type=int, help="Seed of everything random [0]."),
        click.option("--out", metavar="FOLDER", help="Where the search is kept [results/<space>-<task>-<time>]."),
        click.option("--storage", metavar="URL", help="Where a cluster keeps checkpoints; docs/cluster.md."),
        click.option(
            "--reference/--no-reference", default=None, help="Train the space's hand-made network first [on]."
        ),
    ]
    for option in reversed([*options, *_RUN_OPTIONS]):
        command = option(command)
    return command


_RUN_OPTIONS = [
    click.option(
        "--strategy", metavar="NAME[:K=V,..]", help="How to choose candidates [auto]; see docs/strategies.md."
    ),
    click.option("--scheduler", metavar="NAME[:K=V,..]", help="When to stop a trial early, as asha [never]."),
    click.option(
        "--logger", "loggers", multiple=True, metavar="NAME[:K=V,..]", help="What follows the search, as tensorboard."
    ),
    click.option("--time", metavar="TIME", help="Time for the search, as 90s, 30m or 2h."),
    click.option(
        "--runner", type=click.Choice(["ray", "local"]), help="Ray Tune, or this process for debugging [ray]."
    ),
    click.option("--concurrency", type=int, help="Trials at a time [all cores]."),
    click.option("--cpus-per-trial", type=float, help="CPU cores for each trial [one a process]."),
    click.option("--gpus-per-trial", metavar="N", help="GPUs, a part of one, or auto, for each trial [0]."),
    click.option(
        "--processes-per-trial", type=int, help="Processes that train each trial together [one a whole GPU, or 1]."
    ),
    click.option("--cache", metavar="FOLDER", help="Where results of all searches are kept [the user's cache folder]."),
    click.option("--no-cache", is_flag=True, help="Train also what an earlier search has trained alike."),
    click.option(
        "--address", metavar="ADDRESS", help="A Ray cluster: auto, host:port or ray://host:10001 [a local Ray]."
    ),
    click.option(
        "--runtime-env", metavar="JSON|FILE", help="Ray's runtime environment for the workers; docs/cluster.md."
    ),
    click.option("--quiet", "-q", is_flag=True, help="Print the result alone."),
    click.option("--json-lines", is_flag=True, help="Print a JSON object for each event; docs/watching.md."),
]


@main.command()
@click.argument("toml", required=False, type=click.Path(path_type=Path))
@click.option("--trials", type=int, help="Trials to train [20].")
@PLUGIN
@_search_options
def search(
    toml: Path | None,
    plugins: tuple[str, ...],
    quiet: bool,
    json_lines: bool,
    recipe: str | None,
    no_proxies: bool,
    no_cache: bool,
    **given: Any,
) -> None:
    """Search for the best architecture; options may stand in a TOML file, those given here win."""
    options = read_toml(toml) if toml is not None else {}
    options |= {name: value for name, value in given.items() if value is not None and value != ()}
    if no_proxies:
        options["proxies"] = ()
    if no_cache:
        options["cache"] = False
    if plugins:
        options["plugins"] = [*options.get("plugins", []), *plugins]
    if recipe is not None:
        options["recipe"] = {**options.get("recipe", {}), **parse_pairs(recipe)}
    _warn_of_failures(create_manager(options.get("plugins", ())))
    from nas.cli.watch import watch

    with watch(quiet=quiet, json_lines=json_lines) as view:
        run = nas.search(watcher=view, **options)
        view.end(run)
    _leave(run)


@main.command()
@click.argument("run")
@click.option("--out", metavar="FOLDER", help="Where a search from a URL is kept [results/<the URL's last part>].")
@click.option("--trials", type=int, default=0, metavar="N", help="Train N more than the search's budget.")
@click.option("--objective", "objectives", multiple=True, metavar="NAME", help="Judge all trials by this; all of them.")
@click.argument("more", required=False, type=click.Choice(["more"]))
def resume(
    run: str, trials: int, more: str | None, quiet: bool, json_lines: bool, no_cache: bool, **given: Any
) -> None:
    """Go on with a search that was stopped, killed or has ended; `--trials 50 more` adds to its budget."""
    if trials < 0:
        raise ConfigError(f"expected --trials to be a number of trials to add, got {trials}")
    changes = {name: value for name, value in given.items() if value is not None and value != ()}
    if no_cache:
        changes["cache"] = False
    from nas.cli.watch import watch

    with watch(quiet=quiet, json_lines=json_lines) as view:
        found = nas.resume(run, trials=trials, watcher=view, **changes)
        view.end(found)
    _leave(found)


for _option in reversed(_RUN_OPTIONS):
    resume = _option(resume)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--trial", type=int, metavar="N", help="One trial with its curve, architecture and log.")
@click.option("--all", "everything", is_flag=True, help="Every trial of a large search, too.")
@JSON
def show(run: Path, trial: int | None, everything: bool, as_json: bool) -> None:
    """Show a search: its best architecture and its trials; also while it runs."""
    found = nas.load_run(run)
    if trial is not None:
        from nas.cli.trial import one_trial, trial_table, whole_record

        chosen = one_trial(found, trial)
        _print(whole_record(found, chosen), as_json, lambda _: trial_table(found, chosen))
        return
    _print(tables.run_record(found), as_json, lambda _: tables.run_table(found, everything=everything))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--trial", type=int, help="The number of another trial, as one of the front [the best].")
@click.option("--exporter", default="pytorch", show_default=True, help="What to write.")
def export(run: Path, to: Path, trial: int | None, exporter: str) -> None:
    """Write the best architecture as code with its weights, checked equal to what was trained."""
    for file in nas.export(run, to, trial=trial, exporter=exporter):
        click.echo(str(file))
    click.echo(f"load it with: {tables.load_line(to)}")


@main.command()
@click.option("--task", metavar="NAME|FILE", help="The task to size them for [the first built-in one that fits].")
@PLUGIN
@JSON
def spaces(task: str | None, plugins: tuple[str, ...], as_json: bool) -> None:
    """List the search spaces with their exact sizes."""
    manager = create_manager(plugins)
    _warn_of_failures(manager)
    _print(tables.space_records(manager, task), as_json, tables.space_table)


@main.command(name="plugins")
@PLUGIN
@JSON
def list_plugins(plugins: tuple[str, ...], as_json: bool) -> None:
    """List the plugins, what each registers, and those that failed with the reason."""
    _print(tables.plugin_records(create_manager(plugins)), as_json, tables.plugin_table)


def _print(record: Any, as_json: bool, table: Any) -> None:
    if as_json:
        click.echo(json.dumps(record, indent=1))
        return
    tables.console().print(table(record))


def _warn_of_failures(manager: Manager) -> None:
    for name, reason in manager.failures.items():
        click.echo(f"warning: plugin {name} does not work and is left out: {reason}", err=True)


def _leave(run: nas.Run) -> None:
    if run.best is None:
        sys.exit(1)


if __name__ == "__main__":
    main()
