"""``nas score``: what zero-cost proxies say of random architectures of a space, and how long that takes."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from nas.controller.ranks import aggregate_ranks, ranks
from nas.errors import ConfigError
from nas.plugin.build import build_space
from nas.plugin.hooks import hookimpl
from nas.plugin.manager import create_manager

if TYPE_CHECKING:
    from rich.table import Table

    from nas.plugin.registry import Registry
    from nas.space.architecture import Architecture
    from nas.space.space import Space
    from nas.train.proxy import Scores

AGGREGATES = {"az_nas": ("expressivity", "progressivity", "trainability", "flops")}
"""Scores that only a set of architectures has: the ranks by several proxies in one (`aggregate_ranks`)."""

USUAL = "params,flops,grad_norm,snip,logsynflow,naswot,az_nas"
COLUMNS = 8
"""Proxies side by side in one table."""

TRIES = 20
"""Samples drawn for each that is wanted, since a sample may be known already."""


@click.command()
@click.option("--space", "space_text", metavar="NAME[:K=V,..]", default="cell_cnn", help="Search space [cell_cnn].")
@click.option("--task", "task_text", metavar="NAME|FILE", default="digits", help="Task or data file [digits].")
@click.option("--proxy", "proxies", metavar="P[,P..]|all", default=USUAL, help=f"What to score by [{USUAL}].")
@click.option("--samples", type=click.IntRange(min=1), default=10, show_default=True, help="Random architectures.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples, the weights and the batch.")
@click.option("--batch-size", type=click.IntRange(min=2), default=64, show_default=True, help="Examples in the batch.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where [auto].")
@click.option("--as-written", is_flag=True, help="Count nodes that lead nowhere, as published tables do.")
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help="A Python file with a plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def score(
    space_text: str,
    task_text: str,
    proxies: str,
    samples: int,
    seed: int,
    batch_size: int,
    device: str,
    as_written: bool,
    plugins: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score random architectures by zero-cost proxies, without training."""
    registry = create_manager(plugins).registry
    asked = _names(registry, proxies)
    from nas.cli.tables import console
    from nas.train.score import open_scorer
    from nas.train.task import open_task
    from nas.train.worker import choose_device

    task = open_task(registry, task_text)
    space = build_space(registry, space_text, task.info)
    parts = list(dict.fromkeys(part for name in asked for part in AGGREGATES.get(name, (name,))))
    where = choose_device(device)
    scorer = open_scorer(task, parts, registry, seed, batch_size, where, simplify=not as_written)
    rows = [Row(architecture, scorer.score(architecture)) for architecture in _sample(space, samples, seed)]
    rows = _aggregated(rows, asked)
    if as_json:
        click.echo(json.dumps(_record(rows, asked), indent=1))
        return
    shown = console()
    shown.print(*_score_tables(rows, asked, f"{space_text} on {task_text}, seed {seed}"), _time_table(rows, asked))


@dataclass(frozen=True)
class Row:
    """One architecture and its scores."""

    architecture: Architecture
    scores: Scores


def _names(registry: Registry, text: str) -> list[str]:
    if text == "all":
        return [*(entry.name for entry in registry.all("proxy")), *AGGREGATES]
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise ConfigError("expected --proxy to name proxies, as --proxy naswot,snip; `nas plugins` lists them")
    for name in names:
        if name not in AGGREGATES:
            registry.get("proxy", name)
    return names


def _sample(space: Space, count: int, seed: int) -> list[Architecture]:
    """Different networks, fewer where the space has fewer."""
    rng = random.Random(seed)
    found: dict[str, Architecture] = {}
    for _ in range(TRIES * count):
        made = space.sample(rng)
        found.setdefault(made.digest, made)
        if len(found) == count:
            break
    return list(found.values())


def _aggregated(rows: list[Row], asked: list[str]) -> list[Row]:
    """The rows with their scores by aggregates, where every part of it has one."""
    for name in asked:
        if name in AGGREGATES:
            rows = _with_aggregate(rows, name)
    return rows


def _with_aggregate(rows: list[Row], name: str) -> list[Row]:
    """Of the parts that apply to some of the rows; a row to which one does not is last in it."""
    scored = [row for row in rows if row.scores.values]
    parts = [part for part in AGGREGATES[name] if any(part in row.scores.values for row in scored)]
    columns = [[row.scores.values.get(part, math.nan) for row in scored] for part in parts]
    whole = dict(zip(map(id, scored), aggregate_ranks(columns), strict=True)) if len(parts) > 1 else {}
    return [_with_score(row, name, whole.get(id(row))) for row in rows]


def _with_score(row: Row, name: str, value: float | None) -> Row:
    known = row.scores
    seconds = {**known.seconds, name: sum(known.seconds.get(part, 0.0) for part in AGGREGATES[name])}
    if value is not None:
        return replace(row, scores=replace(known, values={**known.values, name: value}, seconds=seconds))
    part, reason = next((part, known.refusals[part]) for part in AGGREGATES[name] if part in known.refusals)
    refusals = {**known.refusals, name: f"{part}: {reason}"}
    return replace(row, scores=replace(known, refusals=refusals, seconds=seconds))


def _record(rows: list[Row], asked: list[str]) -> list[dict[str, Any]]:
    placed = _ranks(rows, asked)
    return [
        {
            "digest": row.architecture.digest,
            "decisions": dict(row.architecture.decisions),
            "scores": {n: _finite(row.scores.values[n]) for n in asked if n in row.scores.values},
            "ranks": {n: placed[n][i] for n in asked if n in row.scores.values},
            "refusals": {n: row.scores.refusals[n] for n in asked if n in row.scores.refusals},
            "seconds": {n: round(row.scores.seconds[n], 4) for n in asked if n in row.scores.seconds},
        }
        for i, row in enumerate(rows)
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ranks(rows: list[Row], asked: list[str]) -> dict[str, list[float]]:
    """1 is the best; the last are those that are NaN or have none."""
    return {name: ranks([-row.scores.values.get(name, -math.inf) for row in rows]) for name in asked}


def _score_tables(rows: list[Row], asked: list[str], title: str) -> Iterator[Table]:
    from rich.table import Table

    placed = _ranks(rows, asked)
    for names in (asked[start : start + COLUMNS] for start in range(0, len(asked), COLUMNS)):
        table = Table("digest", title=f"{title}: score (rank)")
        for name in names:
            table.add_column(name, justify="right")
        for i, row in enumerate(rows):
            table.add_row(row.architecture.digest[:12], *(_cell(row.scores, name, placed[name][i]) for name in names))
        yield table


def _cell(scores: Scores, name: str, rank: float) -> str:
    if name not in scores.values:
        return "-"
    value = scores.values[name]
    text = f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return f"{text} ({rank:g})"


def _time_table(rows: list[Row], asked: list[str]) -> Table:
    from rich.table import Table

    table = Table("proxy", "scored", "ms each", "why not", title="time, and proxies that do not apply")
    for name in asked:
        seconds = [row.scores.seconds[name] for row in rows if name in row.scores.values]
        reasons = dict.fromkeys(row.scores.refusals[name] for row in rows if name in row.scores.refusals)
        mean = f"{1000 * sum(seconds) / len(seconds):.1f}" if seconds else "-"
        table.add_row(name, f"{len(seconds)} of {len(rows)}", mean, "; ".join(reasons))
    return table


@hookimpl
def nas_add_commands(group: click.Group) -> None:
    """Add the command."""
    group.add_command(score)
