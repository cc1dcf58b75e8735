"""The command ``nas benchmark``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from nas.errors import ConfigError
from nas.plugin.hooks import hookimpl


@click.command()
@click.option("--table", required=True, metavar="NAME[:K=V,..]", help="The table; see `nas plugins`.")
@click.option("--strategies", required=True, metavar="A,B,..", help="Strategies with their options, or peer:tpe|gp|..")
@click.option("--trials", type=int, default=100, show_default=True, help="Trainings of each search.")
@click.option("--seeds", type=int, default=20, show_default=True, help="Searches of each strategy.")
@click.option("--workers", type=int, default=1, show_default=True, help="Trainings at a time, in simulated time.")
@click.option("--proxies", metavar="A,B|none", help="Zero-cost scores that may be used [all of the table].")
@click.option("--halving", type=float, metavar="ETA", help="Stop trainings that are not among the best 1/ETA early on.")
@click.option("--against", metavar="A", help="Also show how soon each is as good as this strategy at its end.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for curves.csv, summary.json and regret.png.")
@click.option("--processes", type=int, help="Searches at a time [all cores].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help="A Python file with a plugin.")
def benchmark(
    table: str,
    strategies: str,
    trials: int,
    seeds: int,
    workers: int,
    proxies: str | None,
    halving: float | None,
    against: str | None,
    out: Path | None,
    processes: int | None,
    as_json: bool,
    plugins: tuple[str, ...],
) -> None:
    """Compare strategies on a table of trained architectures, in simulated time: nothing is trained."""
    from .report import check_plot, shown, write_curves, write_plot
    from .runs import Bench, check, plays, split_specs
    from .summary import record, summarise

    names = tuple(split_specs(strategies))
    asked = None if proxies is None else tuple(split_specs("" if proxies == "none" else proxies))
    files = tuple(str(Path(file).resolve()) for file in plugins)
    bench = Bench(table, names, trials, seeds, workers, asked, halving, files)
    opened = check(bench)
    if against is not None and against not in names:
        raise ConfigError(f"expected --against to be one of the strategies {', '.join(names)}, got {against!r}")
    if processes is not None and processes < 1:
        raise ConfigError(f"expected --processes to be at least 1, got {processes}")
    if out is not None:
        check_plot()
        out.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if terminal:
            click.echo(f"\r{done}/{total} searches " + ("\n" if done == total else ""), err=True, nl=False)

    played = plays(bench, processes or _cores(), progress)
    lines = summarise(played, trials)
    whole = {"table": table, "best": opened.best, "trials": trials, "workers": workers, "lines": record(lines, trials)}
    if out is not None:
        write_curves(out, played)
        write_plot(out, opened, bench, lines)
        (out / "summary.json").write_text(json.dumps(whole, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(whole, indent=1))
        return
    from nas.cli.tables import console

    console().print(shown(opened, bench, lines, against))
    for line in lines:
        if line.fewest < trials:
            click.echo(f"{line.strategy}: a search ended after {line.fewest} trainings: {line.reason}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@hookimpl
def nas_add_commands(group: click.Group) -> None:
    """Add the command."""
    group.add_command(benchmark)
