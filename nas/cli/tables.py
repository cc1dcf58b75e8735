"""What the commands print: records for ``--json``, tables and panels for people."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, get_args

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nas.api import Run
from nas.controller.front import front, hypervolume_of, reference_values
from nas.controller.history import History, Objective, State, Trial
from nas.controller.ranks import rank_correlation
from nas.controller.tally import Tally
from nas.errors import NasError
from nas.parts import Fitting
from nas.plugin.build import build_space
from nas.plugin.manager import Manager
from nas.plugin.registry import Entry, Registry
from nas.runner.sharing import use_text, uses, waste_text

STATE_STYLE = {"complete": "green", "running": "cyan", "stopped": "yellow", "failed": "red", "refused": "magenta"}


def console() -> Console:
    """A console on standard output; wide when it is no terminal, so that lines stay whole for grep.

    A character that the output cannot show is a question mark, and no reason to end a search.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=160)


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table cell."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def source_of(trial: Trial) -> str:
    """Who proposed a trial, and whether its result was known."""
    return f"{trial.source} (known)" if trial.cached else trial.source


def trial_record(trial: Trial, objectives: Sequence[Objective]) -> dict[str, Any]:
    """A trial for ``--json``."""
    names = [objective.name for objective in objectives]
    return {
        "number": trial.number,
        "state": trial.state,
        "digest": trial.digest,
        "values": dict(zip(names, trial.values, strict=True)) if trial.values else None,
        "seconds": round(trial.seconds, 3),
        "reason": trial.reason,
        "source": trial.source,
        "cached": trial.cached,
        "decisions": dict(trial.architecture.decisions),
        "metrics": dict(trial.metrics),
    }


def run_record(run: Run) -> dict[str, Any]:
    """A run for ``--json``."""
    best = None
    if run.best is not None:
        best = trial_record(run.best, run.history.objectives) | _test_metrics(run)
    return {
        "folder": str(run.folder),
        "config": run.config.model_dump(mode="json"),
        "best": best,
        **_front_record(run),
        "explained": run.explained,
        "trials": [trial_record(trial, run.history.objectives) for trial in run.trials],
    }


def _front_record(run: Run) -> dict[str, Any]:
    """The front, for several objectives: numbers of trials, what they cover, and of which space."""
    if len(run.history.objectives) == 1:
        return {}
    return {
        "front": [trial.number for trial in front(run.history)],
        "hypervolume": hypervolume_of(run.history),
        "reference": reference_values(run.history),
    }


def front_table(run: Run) -> Table:
    """The trials that none is better than in everything, the best in the first objective first."""
    names = [objective.name for objective in run.history.objectives]
    covered = hypervolume_of(run.history)
    said = "" if covered is None else f", hypervolume {number(covered)}"
    hint = f"nas export {run.folder} --trial N --to FOLDER writes any of them"
    table = Table("trial", *names, "source", "digest", title=f"front{said}", caption=hint)
    for trial in sorted(front(run.history), key=run.history.score, reverse=True):
        table.add_row(str(trial.number), *map(number, trial.values or ()), trial.source, trial.digest[:12])
    return table


def run_table(run: Run, *, everything: bool = False) -> RenderableType:
    """A run for people: the trials, the best one marked, and with several objectives those on the front.

    Of many trials those that run and the best, unless `everything` is wanted.
    """
    names = [objective.name for objective in run.history.objectives]
    costs = [] if "params" in names else ["params"]
    table = Table("", "trial", "state", *names, *costs, "seconds", "source", "digest", "reason", title=str(run.folder))
    others = {trial.number for trial in front(run.history)} if len(names) > 1 else set()
    shown = run.trials if everything or len(run.trials) <= MANY else _notable(run.history)
    for trial in shown:
        mark = "★" if run.best is not None and trial.number == run.best.number else ""
        mark = mark or ("◆" if trial.number in others else "")
        values = trial.values or [None] * len(names)
        state = Text(trial.state, STATE_STYLE[trial.state])
        table.add_row(
            mark, str(trial.number), state, *map(number, values), *(_count(trial.metrics.get(name)) for name in costs),
            f"{trial.seconds:.1f}", source_of(trial), trial.digest[:12], trial.reason.partition("\n")[0],
        )  # fmt: skip
    if left := len(run.trials) - len(shown):
        table.caption = f"those that run and the {TOP} best; {left:,} more with --all"
    return Group(table, summary(run))


def _notable(history: History) -> list[Trial]:
    """The trials that run, and then the best."""
    running = [trial for trial in history.trials if not trial.finished]
    return running + sorted(history.complete, key=history.score, reverse=True)[:TOP]


def summary(run: Run) -> RenderableType:
    """How the search ended: the best architecture, its accuracies, the files and the line that loads it."""
    tally = Tally(run.history.objectives, run.trials)
    counts, *more = said_of(tally, groups=GROUPS)
    lines = [Text(f"{counts}{'; ' + run.reason if run.reason else ''}"), *map(Text, more)]
    warnings = (*run.warnings, waste_text(uses(run.trials), run.config.gpus_per_trial))
    lines += [Text(f"WARNING: {text}", "bold red") for text in warnings if text]
    best = run.best
    if best is None:
        lines.append(Text("no trial is complete", "red"))
        if tally.running and run.reason:
            lines.append(Text(f"give it more time, or fewer epochs: nas resume {run.folder} --time 10m goes on"))
        return Panel(Group(*lines), title=str(run.folder))
    facts = Table.grid(padding=(0, 2))
    facts.add_row("best", f"trial {best.number} ({best.source}), {best.digest}")
    for objective, value in zip(run.history.objectives, best.values or (), strict=True):
        facts.add_row(objective.name.replace("_", " "), number(value))
    for name, value in _test_metrics(run).items():
        facts.add_row(name.replace("_", " "), number(value))
    facts.add_row("parameters", _count(best.metrics.get("params")))
    if (reference := run.reference) is not None and reference.values:
        facts.add_row("hand-made reference", f"{run.history.objectives[0].name} {number(reference.values[0])}")
    if said := _proxy_text(run.history):
        facts.add_row("zero-cost scores", said)
    if said := model_text(run.explained):
        facts.add_row("the model goes by", said)
    if said := use_text(uses(run.trials)):
        facts.add_row("GPUs", said)
    facts.add_row("decisions", "\n".join(f"{k} = {v}" for k, v in best.architecture.decisions.items()))
    facts.add_row("files", str(run.folder / "best") if run.results else "not exported yet")
    if run.results:
        facts.add_row("load it with", Text(load_line(run.folder / "best"), "bold"))
    fronts = [front_table(run)] if len(run.history.objectives) > 1 else []
    return Panel(Group(*lines, facts, *fronts), title=str(run.folder))


def said_of(tally: Tally, groups: int) -> list[str]:
    """What became of the trials: how many, what was known, and so many kinds of reasons why some were not trained."""
    found: dict[State, int] = {**tally.states, "running": len(tally.running)}
    lines = [", ".join(f"{found[state]} {state}" for state in get_args(State) if found.get(state)) or "no trials"]
    if tally.known:
        saved = f"{tally.saved_seconds:.0f} s of training"
        lines.append(f"{tally.known} were known from earlier searches, which saved {saved}")
    for state in WITH_REASONS:
        reasons = tally.reasons[state].most() if state in tally.reasons else []
        lines += [f"{state}: {count} × {reason}" for count, reason in reasons[:groups]]
        if rest := reasons[groups:]:
            lines.append(f"{state}: {sum(count for count, _ in rest)} for {len(rest)} other reasons")
    return lines


def model_text(shares: Mapping[str, float]) -> str:
    """What a strategy's model goes by, the largest share first, and what lost its weight."""
    parts = sorted(shares.items(), key=lambda part: -part[1])
    kept = [f"{name} {share:.0%}" for name, share in parts if share >= LOST]
    lost = [name for name, share in parts if share < LOST]
    return ", ".join(kept) + (f"; no weight left: {', '.join(lost)}" if lost else "")


def _proxy_text(history: History) -> str:
    """How many networks were scored, and how well each score ranks the trials that were trained."""
    if not history.scores:
        return ""
    lines = [f"of {len(history.scores)} networks"]
    scored = [trial for trial in history.complete if trial.digest in history.scores]
    for name in dict.fromkeys(name for found in history.scores.values() for name in found):
        pairs = [(history.scores[t.digest][name], history.score(t)) for t in scored if name in history.scores[t.digest]]
        if len(pairs) >= FEWEST:
            found = rank_correlation(*zip(*pairs, strict=True))
            chance = CHANCE / math.sqrt(len(pairs) - 1)
            doubt = "" if abs(found) > chance else ", which chance may give"
            lines.append(f"{name}: rank correlation {found:.2f} over {len(pairs)} trials{doubt}")
    return "\n".join(lines)


def _test_metrics(run: Run) -> dict[str, float]:
    """What the exported winner reaches on the test part, the first objective's metric first."""
    found = {name: value for name, value in run.results.items() if name.startswith("test_")}
    first = run.history.objectives[0].metric.replace("val_", "test_", 1)
    return dict(sorted(found.items(), key=lambda pair: pair[0] != first))


def load_line(folder: Path) -> str:
    """The one line of Python that loads an exported model, wherever it is run."""
    return f'import runpy; model = runpy.run_path("{folder.resolve() / "model.py"}")["load"]()'


WITH_REASONS: tuple[State, ...] = ("failed", "refused")
"""States whose reasons people want to know: something may be wrong."""
MANY, TOP = 40, 20
"""Trials up to which a run is shown whole, and how many of the best are shown of a larger one."""
GROUPS = 5
"""Kinds of reasons in a summary."""
LOST = 0.01
"""The share below which a part of a model is said to have lost its weight."""
FEWEST = 5
"""Trials below which a rank correlation is not worth a line."""
CHANCE = 1.96
"""Times 1 / sqrt(n - 1): beyond it independent ranks correlate once in twenty."""


def space_records(manager: Manager, task: str | None) -> list[dict[str, Any]]:
    """Every space with its exact size for `task`, or else for the first task that comes with the package and fits it.

    A space that fits none has a reason instead of a size.
    """
    fitting = Fitting(manager.registry, task)
    return [_space_record(manager.registry, fitting, entry) for entry in manager.registry.all("space")]


def _space_record(registry: Registry, fitting: Fitting, entry: Entry) -> dict[str, Any]:
    said = {"name": entry.name, "size": None, "owner": entry.owner, "summary": entry.summary, "task": None}
    try:
        task, info = fitting.task(entry.name)
    except NasError as error:
        return said | {"reason": str(error)}
    return said | {"size": build_space(registry, entry.name, info).size, "task": task}


def space_table(records: list[dict[str, Any]]) -> Table:
    """Spaces for people."""
    table = Table("space", "size", "for task", "owner", "summary")
    for record in records:
        size = "-" if record["size"] is None else f"{record['size']:,}"
        said = record.get("reason") or record["summary"]
        table.add_row(record["name"], size, record["task"] or "-", record["owner"], said)
    return table


def plugin_records(manager: Manager) -> list[dict[str, Any]]:
    """Every plugin with what it registered, and those that failed."""
    names = [name for name, _ in manager.pluggy.list_name_plugin()]
    records: list[dict[str, Any]] = []
    for name in sorted(names):
        owned: dict[str, list[str]] = {}
        for entry in manager.registry.owned(name):
            owned.setdefault(entry.kind, []).append(entry.name)
        records.append({"name": name, "registers": owned, "failed": ""})
    return records + [{"name": name, "registers": {}, "failed": why} for name, why in manager.failures.items()]


def plugin_table(records: list[dict[str, Any]]) -> Table:
    """Plugins for people."""
    table = Table("plugin", "registers")
    for record in records:
        said = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in record["registers"].items())
        table.add_row(record["name"], Text(f"failed: {record['failed']}", "red") if record["failed"] else said)
    return table


def _count(value: float | None) -> str:
    return "-" if value is None else f"{int(value):,}"
