"""What the command shows and leaves: a table, a CSV of every search, a plot of the curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table as Shown

from nas.controller.table import Table
from nas.errors import ConfigError

from .runs import Bench, Played
from .summary import Line, points

CURVES = "curves.csv"
PLOT = "regret.png"
WIDTH = 90
"""Of the table at least, so that what stands over and under it is not broken into pieces."""


def shown(table: Table, bench: Bench, lines: Sequence[Line], against: str | None) -> Shown:
    """The lines for people."""
    proxies = table.proxies if bench.proxies is None else bench.proxies
    title = f"{bench.table.partition(':')[0]}: {_what(table)}, mean of {bench.seeds} seeds ± half the 95 % interval"
    workers = f"{bench.workers} at a time" if bench.workers > 1 else "one at a time"
    stopped = f", stopped unless among the best 1/{bench.halving:g}" if bench.halving else ""
    caption = f"{workers}{stopped}; zero-cost scores: {', '.join(proxies) or 'none'}"
    made = Shown(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, min_width=WIDTH
    )
    made.add_column("trainings", no_wrap=True)
    for line in lines:
        made.add_column(line.strategy, justify="right", overflow="fold")
    for n in points(bench.trials):
        made.add_row(str(n), *(_cell(*line.curve[n - 1]) for line in lines))
    made.add_section()
    for title, said in _facts(bench.trials, next((line for line in lines if line.strategy == against), None)).items():
        made.add_row(title, *map(said, lines))
    return made


def _facts(trials: int, rival: Line | None) -> dict[str, Callable[[Line], str]]:
    """What is said of a strategy beside its curve."""

    def optimum(line: Line) -> str:
        return f"{f'>{trials}' if line.optimum is None else f'{line.optimum:.0f}'} ({line.found}/{line.seeds})"

    def proposal(line: Line) -> str:
        return f"{1000 * line.propose_median:.0f}-{1000 * line.propose_max:.0f} ms"

    def scored(line: Line) -> str:
        return f"{line.scored:.0f} ({100 * line.score_share:.1f} %)" if line.scored else "-"

    def as_rival(line: Line) -> str:
        return str((rival and line.reaches(rival.curve[-1][0])) or "never")

    facts: dict[str, Callable[[Line], str]]
    facts = {"optimum": optimum, "time": lambda line: _time(line.hours), "proposal": proposal, "scored": scored}
    return facts | ({f"as {rival.strategy}": as_rival} if rival else {})


def write_curves(folder: Path, played: Sequence[Played]) -> Path:
    """One row a strategy, seed and number of trainings."""
    file = folder / CURVES
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["strategy", "seed", "trainings", "simulated_seconds", "value", "regret"])
        for one in played:
            for n, numbers in enumerate(zip(one.seconds, one.values, one.regrets, strict=True), 1):
                rows.writerow([one.strategy, one.seed, n, *(f"{number:.6g}" for number in numbers)])
    return file


def check_plot() -> None:
    """Raises ConfigError when matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise ConfigError("matplotlib is not installed; pip install 'graphnas[plots]', or leave out --out")


def write_plot(folder: Path, table: Table, bench: Bench, lines: Sequence[Line]) -> Path:
    """Mean regret and its 95 % interval after each training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    numbers = range(1, bench.trials + 1)
    for line in lines:
        means = [mean for mean, _ in line.curve]
        halves = [half if half < float("inf") else 0.0 for _, half in line.curve]
        (drawn,) = axes.plot(numbers, means, label=line.strategy, linewidth=1.6)
        low, high = ([m + s * h for m, h in zip(means, halves, strict=True)] for s in (-1, 1))
        axes.fill_between(numbers, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    start = min(5, bench.trials - 1)
    top = max(line.curve[start][0] + min(line.curve[start][1], line.curve[start][0]) for line in lines)
    axes.set(xlabel="trainings", ylabel=_what(table), xlim=(1, bench.trials), ylim=(0, top * 1.1 or 1))
    axes.set_title(f"{bench.table.partition(':')[0]}, {bench.seeds} seeds", fontsize=11)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    file = folder / PLOT
    figure.savefig(file)
    return file


def _what(table: Table) -> str:
    if table.judge is None:
        return f"share of the hypervolume of {' and '.join(o.name for o in table.objectives)} still missing"
    return f"regret in {table.judge.name}, seen by {table.objectives[0].name}"


def _cell(mean: float, half: float) -> str:
    """The mean as far as the interval lets one know it.

    >>> _cell(0.34871, 0.0163)
    '0.349±0.016'
    >>> _cell(1.5283, 0.32)
    '1.5±0.3'
    """
    if not 0 < half < math.inf:
        return f"{mean:.3g}±0" if half == 0 else f"{mean:.3g}"
    power = math.floor(math.log10(half))
    digits = max(0, (1 if half < 2 * 10**power else 0) - power)
    return f"{mean:.{digits}f}±{half:.{digits}f}"


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
