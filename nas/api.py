"""`search`, `resume`, `load_run`, `export`: what the command line and Python users call."""

from __future__ import annotations

import json
import random
import time as clock
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.config import DEFAULT_EXPORTER, SearchConfig, parse_duration, write_json
from nas.controller.history import History, Trial, explained
from nas.controller.limits import check_meetable, parse_limit
from nas.errors import ConfigError, LedgerError, NasError
from nas.parts import (
    Parts,
    absolute,
    assemble,
    check_blocks,
    check_start,
    missing_value,
    result_cache,
    searched_space,
)
from nas.plugin.build import build_space, build_strategy
from nas.plugin.manager import create_manager
from nas.plugin.registry import parse_spec
from nas.record import make_record, read_record, stored_config, stored_info
from nas.running import check_resources, running, worker_config, worker_spec
from nas.space.architecture import Architecture
from nas.storage import check_writable, is_url, open_place, shown

if TYPE_CHECKING:
    from torch import nn

    from nas.controller.controller import Controller, Watcher
    from nas.controller.job import Done
    from nas.controller.ledger import Ledger
    from nas.runner.spec import WorkerSpec

BEST = "best"
"""The folder of a run that holds its exported winner."""
COSTS = ("params", "flops")
"""What `nas.model.measure` says of a candidate and every trial's metrics keep."""

END_SECONDS = 4.0
"""What Ray's end, the winner's test and the check of its export take; a tenth of the time at most is kept for them."""


@dataclass(frozen=True)
class Run:
    """A search's folder and what is in it, read when the object was made.

    `reason` says why the search ended, `warnings` what was wrong all the time; they are empty for a run that was only
    opened.
    """

    folder: Path
    config: SearchConfig
    history: History
    reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial, in the order of its number."""
        return self.history.trials

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best first objective."""
        return self.history.best

    @property
    def architecture(self) -> Architecture:
        """The best architecture; raises LedgerError while no trial is complete."""
        return _winner(self).architecture

    @property
    def reference(self) -> Trial | None:
        """The trial of the space's hand-made reference architecture, if it has been trained."""
        return next((t for t in self.trials if t.source == "reference" and t.values), None)

    @property
    def results(self) -> dict[str, Any]:
        """What was measured on the exported winner, the test metrics included; empty before it is exported."""
        file = self.folder / BEST / "architecture.json"
        found: dict[str, Any] = json.loads(file.read_text()).get("metadata", {}) if file.is_file() else {}
        return found if self.best is not None and found.get("trial") == self.best.number else {}

    @property
    def explained(self) -> dict[str, float]:
        """By name the share of each part of what the strategy's model goes by; empty for one without a model."""
        try:
            strategy = build_strategy(create_manager(self.config.plugins).registry, self.config.strategy)
        except NasError:  # its plugin is not here
            return {}
        costs = {t.digest: {name: t.metrics[name] for name in COSTS if name in t.metrics} for t in self.trials}
        return explained(strategy, replace(self.history, measure=lambda a: costs.get(a.digest, {})))

    def export(
        self, to: str | Path | None = None, *, trial: int | None = None, exporter: str = DEFAULT_EXPORTER
    ) -> list[Path]:
        """Writes the winner into `to`, by default ``best/`` of the run, and gives the files; see `nas.export`."""
        return export(self.folder, to, trial=trial, exporter=exporter)

    def load(self, trial: int | None = None) -> nn.Module:
        """The winner with its trained weights, or another trial that kept them, in evaluation mode on the CPU.

        It takes raw inputs. Raises LedgerError for a trial without weights.
        """
        from nas.train.winner import load_trained

        chosen = _winner(self) if trial is None else _kept(self, trial)
        return load_trained(worker_config(self.folder, self.config), chosen.architecture, chosen.number)


def search(
    space: str = "cell_cnn",
    task: str = "digits",
    *,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    **options: Any,
) -> Run:
    """Searches `space` for the best architecture on `task`; leaves it, trained and exported, in folder `out`.

    The options are those of `nas.config.SearchConfig` and, as a shorthand for the recipe's, `epochs`. Raises
    ConfigError, TaskError, SpaceError or LedgerError before anything is trained; a trial that fails is recorded and the
    search goes on.

    >>> run = nas.search("cell_cnn", "digits", trials=20, time="5m")   # doctest: +SKIP
    """
    begun = clock.monotonic()
    parts = assemble(absolute(SearchConfig.parse({"space": space, "task": task, **options})))
    check_start(parts)
    check_resources(parts.config)
    if parts.limits:
        check_meetable(parts.space, parts.limits, parts.measure, random.Random(parts.config.seed))
    folder = Path(out) if out is not None else default_folder(parts.config)
    from nas.controller import ledger as ledgers

    ledgers.check_unused(folder)
    if (storage := parts.config.storage) is not None:
        from nas.controller.mirror import check_unused

        check_writable(storage)
        check_unused(storage)
    with ExitStack() as workers:
        run_trials = workers.enter_context(running(parts))
        check_blocks(parts)  # while Ray starts, and before there is a folder
        with ledgers.Ledger.create(folder, parts.space, parts.objectives) as ledger:
            write_json(folder / "config.json", make_record(parts))
            deadline = _deadline(begun, parts.config.time)
            return _drive(folder, parts, ledger, watcher, deadline, workers, run_trials)


def resume(
    folder: str | Path,
    *,
    trials: int = 0,
    time: float | str | None = None,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    **changes: Any,
) -> Run:
    """Goes on with the search in `folder`: trials in flight from their last epoch, then what is left of its budget.

    `folder` may be the URL of a search's storage; its record is copied into folder `out` of this machine first.

    `trials` are added to the budget and `time` is a new one; without them the search has what it had left.
    `changes` may name another strategy, scheduler, runner, concurrency or other resources, and other objectives, by
    which finished trials are judged anew. Raises LedgerError when another process drives the search, the task's data
    are not what they were, or a finished trial has no value of a new objective.
    """
    begun = clock.monotonic()
    folder = _fetched(str(folder), out)
    record = read_record(folder)
    config = _changed(stored_config(record), time, changes)
    parts = assemble(config)
    check_start(parts)
    check_resources(parts.config)
    if parts.task.fingerprint != record["fingerprint"]:
        raise LedgerError(
            f"the data of task {config.task!r} are not those that {folder} was started with; restore them"
        )
    from nas.controller.ledger import Ledger

    if "objectives" in changes:
        from nas.controller.rewrite import change_objectives

        change_objectives(folder, parts.space, parts.objectives, missing_value(parts))
    with Ledger.open(folder, parts.space, parts.objectives) as ledger:
        if (storage := _other_place(folder, config)) is not None:
            from nas.controller.mirror import check_current

            check_writable(storage)
            check_current(folder, storage)
        left = config.time if time is not None or config.time is None else max(0.0, config.time - ledger.busy_seconds)
        if trials:
            spent = sum(trial.state != "refused" for trial in ledger.trials)
            config = config.model_copy(update={"trials": (spent if config.budget is None else config.budget) + trials})
            parts = replace(parts, config=config)
        write_json(folder / "config.json", record | {"config": config.model_dump(mode="json")})
        with ExitStack() as workers:
            run_trials = workers.enter_context(running(parts))
            return _drive(folder, parts, ledger, watcher, _deadline(begun, left), workers, run_trials)


def load_run(folder: str | Path) -> Run:
    """The run in `folder` as it is now, also while its search goes on; raises LedgerError when there is none."""
    folder = Path(folder)
    record = read_record(folder)
    config = stored_config(record)
    from nas.controller.ledger import Ledger

    space = searched_space(
        build_space(create_manager(config.plugins).registry, config.space, stored_info(record)), config
    )
    history = Ledger.read(folder, space, budget=config.budget)
    return Run(folder, config, replace(history, limits=tuple(map(parse_limit, config.limits))))


def export(
    folder: str | Path,
    to: str | Path | None = None,
    *,
    trial: int | None = None,
    exporter: str = DEFAULT_EXPORTER,
) -> list[Path]:
    """Writes the best architecture of the run in `folder` with its weights into `to`; gives the files.

    trial: the number of another one; those keep weights that are among the best or, with several objectives, on the
        front. It goes to ``trial-N/`` of the run by default.

    Raises LedgerError when no trial is complete or the one asked for has no weights, ExportError when what was written
    is not equal to what was trained.
    """
    run = load_run(folder)
    chosen = _winner(run) if trial is None else _kept(run, trial)
    place = Path(to) if to is not None else run.folder / (BEST if trial is None else f"trial-{trial}")
    return _export(run, assemble(run.config), chosen, place, exporter)


def default_folder(config: SearchConfig) -> Path:
    """``results/<space>-<task>-<date>-<time>`` below the working directory."""
    name = f"{config.space.partition(':')[0]}-{Path(config.task.partition(':')[0]).stem}"
    return Path("results") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def _drive(
    folder: Path,
    parts: Parts,
    ledger: Ledger,
    watcher: Watcher | None,
    deadline: float | None,
    workers: ExitStack,
    run_trials: Callable[[Controller, WorkerSpec], Done],
) -> Run:
    """Has `run_trials` do what a controller says, closes `workers`, and exports the winner."""
    from nas.controller.checkpoints import Checkpoints, best_trials, checkpoint_file
    from nas.controller.controller import Controller

    config = parts.config
    stack, checkpoints = ExitStack(), Checkpoints(folder)
    mirror = None
    if (storage := _other_place(folder, config)) is not None:
        from nas.controller.mirror import Mirror

        mirror = stack.enter_context(Mirror(folder, open_place(storage)))

    def watch(trial: Trial, history: History) -> None:
        if mirror is not None:
            mirror.changed(trial, history)
        else:
            checkpoints.see(trial, history)
            checkpoints.drop()
        if watcher is not None:
            watcher(trial, history)

    cache, place = result_cache(parts), open_place(config.storage or folder)
    with stack:
        with workers:
            controller = Controller(
                ledger=ledger,
                strategy=(parse_spec(config.strategy)[0], build_strategy(parts.manager.registry, config.strategy)),
                check=parts.measure,
                quick=parts.quick,
                limits=parts.limits,
                proxies=config.proxies,
                cache=cache,
                place=place,
                budget=config.budget,
                deadline=deadline,
                seed=config.seed,
                reference=parts.space.reference if config.reference and parts.space.has_reference else None,
                observers=parts.manager.hook,
                watcher=watch,
            )
            controller.begin()
            done = run_trials(controller, worker_spec(folder, parts))
        run = Run(folder, config, controller.history, _with_cut(done, controller.history), done.warnings)
        if cache is not None:
            cache.keep([(trial, checkpoint_file(place, trial.number)) for trial in best_trials(run.history)])
        if run.best is not None and not run.results:
            _export(run, parts, run.best, folder / BEST, DEFAULT_EXPORTER)
        controller.end()
    return run


def _fetched(where: str, out: str | Path | None) -> Path:
    """The folder of a search; one behind a URL is copied into `out` first."""
    if not is_url(where):
        if out is not None:
            raise ConfigError(f"expected --out with a URL only, got it with the folder {where}")
        return Path(where)
    from nas.controller.mirror import fetch

    folder = Path(out) if out is not None else Path("results") / PurePosixPath(shown(where)).name
    fetch(where, folder)
    return folder


def _other_place(folder: Path, config: SearchConfig) -> str | None:
    """The search's storage, unless that is its folder."""
    inside = config.storage is None or config.storage.removeprefix("file://") == str(folder.resolve())
    return None if inside else config.storage


def _with_cut(done: Done, history: History) -> str:
    """Why the search ended and, where the time ended it, which trials were cut at which epoch."""
    flying = [trial for trial in history.trials if not trial.finished]
    if done.cause != "time" or not flying:
        return done.reason
    cut = ", ".join(f"trial {trial.number} after epoch {len(trial.curve)}" for trial in flying)
    return f"{done.reason}; cut: {cut}; they go on when the search is resumed"


def _export(run: Run, parts: Parts, best: Trial, to: Path, exporter: str) -> list[Path]:
    """Loads the winner, or another trial, judges it on the test part, and hands it to the exporter."""
    entry = parts.manager.registry.get("exporter", exporter)
    import torch

    from nas.model.export import Exportable
    from nas.train.winner import evaluate_test, load_weights, trained_blueprint

    config = worker_config(run.folder, run.config)
    made = best.architecture.network
    plan = trained_blueprint(config, made)
    network = load_weights(plan, config["storage"], best.number)
    facts = {"run": run.folder.name, "trial": best.number, "space": run.config.space, "task": run.config.task}
    facts |= {"settings": dict(best.architecture.settings)} if best.architecture.settings else {}
    tested = evaluate_test(network, parts.task, metrics=[objective.metric for objective in parts.objectives])
    facts |= {**best.metrics, **tested, "facts": dict(parts.task.facts)}
    examples = parts.task.train_arrays().take(np.arange(min(8, len(parts.task.train_arrays()))))
    inputs = tuple(torch.from_numpy(x) for x in examples.x)
    inputs = tuple(x if x.dtype == torch.int64 else x.float() for x in inputs)
    files: list[Path] = entry.load()(Exportable(made, plan, network, inputs, facts), to)
    return files


def _winner(run: Run) -> Trial:
    if run.best is None:
        raise LedgerError(f"no trial in {run.folder} is complete yet, so there is no best architecture")
    return run.best


def _kept(run: Run, number: int) -> Trial:
    """A trial that kept its weights."""
    from nas.controller.checkpoints import best_trials

    kept = {trial.number: trial for trial in best_trials(run.history)}
    if number in kept:
        return kept[number]
    if not 0 <= number < len(run.trials):
        raise LedgerError(f"expected a trial from 0 to {len(run.trials) - 1}, got {number}")
    there = ", ".join(map(str, sorted(kept))) or "none yet"
    raise LedgerError(f"trial {number} ({run.trials[number].state}) keeps no weights; those that do are {there}")


def _deadline(begun: float, seconds: float | None) -> float | None:
    """When trials end, so that the winner is exported by the time that the user gave, counted from the call."""
    return None if seconds is None else begun + seconds - min(END_SECONDS, seconds / 10)


CHANGEABLE = (
    "strategy", "objectives", "scheduler", "loggers", "cache", "runner", "concurrency", "cpus_per_trial",
    "gpus_per_trial", "processes_per_trial", "address", "runtime_env",
)  # fmt: skip
"""What may be another when a search goes on."""


def _changed(config: SearchConfig, time: float | str | None, changes: Mapping[str, Any]) -> SearchConfig:
    for name in changes:
        if name not in CHANGEABLE:
            raise ConfigError(
                f"a search cannot change {name!r} when it goes on; it can change {', '.join(sorted(CHANGEABLE))}"
            )
    seconds = parse_duration(time) if isinstance(time, str) else time
    later = {"time": seconds} if seconds is not None else {}
    return SearchConfig.parse(config.model_dump() | dict(changes) | later)
