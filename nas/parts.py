"""From a configuration to what it stands for: plugins, task, space, objectives, limits; no torch, no Ray."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import entry_points
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from nas.config import SearchConfig
from nas.controller.cache import ResultCache
from nas.controller.history import Limit, Measure, Objective, Trial, check_strategy
from nas.controller.limits import parse_limit
from nas.errors import ConfigError, LedgerError, NasError, SpaceError
from nas.plugin.build import add_logger, build_space, build_strategy
from nas.plugin.manager import GROUP, Manager, create_manager
from nas.plugin.registry import Registry, parse_spec
from nas.space.expand import Decision
from nas.space.ports import TaskInfo
from nas.space.space import Space
from nas.train.start import WEIGHTS, exported_folder
from nas.train.task import Task

if TYPE_CHECKING:
    from nas.model.measure import Measuring

logger = logging.getLogger(__name__)

LATENCY = "latency_ms"
TIMES = (LATENCY, "seconds")
"""Metrics that are of one machine."""


@dataclass(frozen=True)
class Parts:
    """What a configuration stands for."""

    config: SearchConfig
    manager: Manager
    task: Task
    space: Space
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    @property
    def examples(self) -> int:
        """How many a search has to train and validate on."""
        return len(self.task.train_arrays())

    @property
    def measure(self) -> Measure:
        """Settles a candidate's shapes on the meta device; what it costs, or CandidateError."""
        return self._measuring

    @property
    def quick(self) -> Measure:
        """The same for strategies, while no limit asks for more: parameters and operations, in half the time."""
        return self._measuring.quick

    @cached_property
    def _measuring(self) -> Measuring:
        from nas.model.measure import Measuring
        from nas.train.memory import Memory
        from nas.train.recipe import Recipe

        latency = any(limit.metric == LATENCY for limit in self.limits)
        memory = Memory(self.task.info, Recipe.parse(self.config.recipe), self.examples, self.config.processes)
        threads = self.config.threads
        return Measuring(self.task.info, self.manager.registry, more=memory, latency=latency, threads=threads)


def assemble(config: SearchConfig) -> Parts:
    """Everything that `config` names, checked, the data too, and what it leaves open filled in; no torch, no Ray."""
    from nas.train.recipe import Recipe
    from nas.train.task import open_task, usual_objective

    manager = create_manager(config.plugins)
    registry = manager.registry
    registry.get("space", parse_spec(config.space)[0])
    build_strategy(registry, config.strategy)
    if config.scheduler is not None:
        registry.get("scheduler", parse_spec(config.scheduler)[0])
    for name in config.loggers:
        registry.get("logger", parse_spec(name)[0])
    for name in config.objectives:
        registry.get("objective", name)
    for name in config.proxies:
        registry.get("proxy", name)
    if len(set(config.objectives)) < len(config.objectives):
        raise ConfigError(f"expected each objective once, got {', '.join(config.objectives)}")
    Recipe.parse(config.recipe)
    task = open_task(registry, config.task)
    built = build_space(registry, config.space, task.info)
    recipe = Recipe.parse({**built.recipe, **config.recipe}, task.info, len(task.train_arrays()))
    recipe.augmentations(task.info, task.augment)
    searched = recipe.search(config.search_recipe)
    for value in searched.get("augment", ()):
        recipe.changed({"augment": value}).augmentations(task.info, task.augment)
    names = config.objectives or (usual_objective(task),)
    said = {"objectives": names, "recipe": recipe.model_dump(mode="json"), "search_recipe": searched}
    whole = config.model_copy(update=said)
    objectives = tuple(_objective(manager, name) for name in names)
    space = searched_space(built, whole)
    return Parts(whole, manager, task, space, objectives, tuple(map(parse_limit, config.limits)))


class Fitting:
    """Built-in tasks for spaces, each opened when the ones before it do not fit; with `task`, that one for all."""

    def __init__(self, registry: Registry, task: str | None = None) -> None:
        self._registry = registry
        self._names = [task] if task is not None else _without_data(registry)
        self._infos: dict[str, TaskInfo] = {}

    def task(self, space: str) -> tuple[str, TaskInfo]:
        """The first task that fits the space called so; raises NasError with what the first says where none does."""
        why: NasError | None = None
        for name in self._names:
            try:
                info = self._info(name)
                build_space(self._registry, space, info)
            except NasError as error:
                why = why or error
            else:
                return name, info
        raise why or ConfigError(f"there is no task to try space {space!r} with")

    def _info(self, name: str) -> TaskInfo:
        from nas.train.task import open_task

        if name not in self._infos:
            self._infos[name] = open_task(self._registry, name, check=False).info
        return self._infos[name]


def _without_data(registry: Registry) -> list[str]:
    """The tasks that need no file: all their options have defaults. Images come first, as the default does."""
    names = [e.name for e in registry.all("task") if Parameter.empty not in e.options().values()]
    return sorted(names, key=lambda name: name != SearchConfig.model_fields["task"].default)


def check_start(parts: Parts) -> None:
    """Raises ConfigError for what cannot work together, before anything starts.

    Weights that candidates cannot start with, a strategy that cannot take this space, a scheduler's wrong options.
    """
    from nas.train.recipe import Recipe
    from nas.train.start import check_start as check_weights

    if parts.config.scheduler is not None and parts.config.runner == "local":
        raise ConfigError(f"expected runner 'ray' for scheduler {parts.config.scheduler!r}, got 'local'; drop one")
    make_scheduler(parts)
    for text in parts.config.loggers:
        add_logger(parts.manager, text)
    check_strategy(build_strategy(parts.manager.registry, parts.config.strategy), parts.space, parts.objectives)
    processes = parts.config.processes
    sizes = (parts.config.recipe["batch_size"], *parts.config.search_recipe.get("batch_size", ()))
    if min(sizes) < 2 * processes:  # of which batch norm needs two
        raise ConfigError(
            f"training option 'batch_size': expected {2 * processes} at least for {processes} processes of a "
            f"trial, got {min(sizes)}"
        )
    check_weights(Recipe.parse(parts.config.recipe), parts.task)


def check_blocks(parts: Parts) -> None:
    """Raises SpaceError for blocks that cannot take the widths that reach them; logs a warning where some cannot.

    It needs torch, for which there is time while Ray starts.
    """
    from nas.model.fit import check_blocks as unfit

    space = f"space {parts.space.name!r} for task {parts.task.info.name!r}"
    try:
        found = unfit(parts.space, parts.task.info, parts.manager.registry)
    except SpaceError as error:
        raise SpaceError(f"{space}: {error}") from error
    for text in found:
        logger.warning("warning: %s: %s", space, text)


def absolute(config: SearchConfig) -> SearchConfig:
    """The task's file by its absolute path: workers and later sessions have other working directories."""
    from nas.train.resolve import absolute_task

    return config.model_copy(update={"task": absolute_task(create_manager(config.plugins).registry, config.task)})


def make_scheduler(parts: Parts) -> Any:
    """The scheduler of Ray Tune that the configuration names, None where it names none."""
    if parts.config.scheduler is None:
        return None
    name, options = parse_spec(parts.config.scheduler)
    return parts.manager.registry.get("scheduler", name).build(parts.config.recipe["epochs"], **options)


def searched_space(space: Space, config: SearchConfig) -> Space:
    """The space with the decisions of the recipe, if some are searched for."""
    from nas.train.recipe import SETTING

    if not config.search_recipe:
        return space
    settings = [Decision(f"{SETTING}{name}", values) for name, values in config.search_recipe.items()]
    usual = {d.label: config.recipe[d.label.removeprefix(SETTING)] for d in settings}
    return space.with_settings(settings, {d.label: usual[d.label] for d in settings if usual[d.label] in d.names})


def _objective(manager: Manager, name: str) -> Objective:
    details = manager.registry.get("objective", name).details
    return Objective(name, details["metric"], details["direction"])


def device_of(config: SearchConfig) -> str:
    """What trials are trained on: ``cpu``, ``cuda``, or in this process ``auto``, a GPU where there is one."""
    if config.runner == "local":
        return "auto"
    return "cuda" if config.gpus_per_trial else "cpu"


def result_cache(parts: Parts) -> ResultCache | None:
    """The results of earlier searches that hold for this one, unless it wants none.

    They hold where the data, what is held out of them, the recipe, the device, the code of plugins and, for times, the
    machine are the same.
    """
    config = parts.config
    if not config.cache:
        return None
    folder = Path(config.cache) if isinstance(config.cache, str) else user_cache_path("graphnas") / "results"
    metrics = {*(o.metric for o in parts.objectives), *(limit.metric for limit in parts.limits)}
    context = {
        "task": [parts.task.info.name, parts.task.fingerprint],
        "recipe": {**config.recipe, "init": _weights_of(config.recipe.get("init", ""))},
        "seed": config.seed,
        "device": device_of(config),
        "code": [*_installed(), *(blake2b(Path(file).read_bytes()).hexdigest() for file in config.plugins)],
        "latency": [any(part.metric == LATENCY for part in some) for some in (parts.objectives, parts.limits)],
        "machine": platform.node() if metrics & set(TIMES) else "",
    }
    context |= {"processes": config.processes} if config.processes > 1 else {}
    return ResultCache(folder, context)


def missing_value(parts: Parts) -> Callable[[Trial, Objective], float]:
    """What a finished trial's metric is that it has not recorded: its latency, which no weight changes.

    Raises LedgerError for what only its training could have told, and for the latency on a GPU, which is elsewhere.
    """
    from nas.model.measure import Measuring

    measure = Measuring(parts.task.info, parts.manager.registry, latency=True, threads=parts.config.threads)

    def find(trial: Trial, objective: Objective) -> float:
        if objective.metric == LATENCY and not parts.config.gpus_per_trial:
            return measure(trial.architecture)[LATENCY]
        known = ", ".join(sorted(trial.metrics)) or "nothing"
        raise LedgerError(
            f"objective {objective.name!r} cannot be added: trial {trial.number} has no {objective.metric}, "
            f"only {known}"
        )

    return find


def _weights_of(folder: str) -> str:
    return blake2b((exported_folder(folder) / WEIGHTS).read_bytes()).hexdigest() if folder else ""


def _installed() -> list[str]:
    """The packages that plugins come from, with their versions."""
    found = {(p.dist.name, p.dist.version) for p in entry_points(group=GROUP) if p.dist is not None}
    return sorted(f"{name}=={version}" for name, version in found)
