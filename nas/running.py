"""Who runs the trials of a search, and what its workers are told; Ray and torch only where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config import AUTO, SearchConfig
from nas.parts import LATENCY, Parts, device_of, make_scheduler

if TYPE_CHECKING:
    from nas.controller.controller import Controller
    from nas.controller.job import Done
    from nas.runner.spec import Resources, WorkerSpec


def check_resources(config: SearchConfig) -> None:
    """Raises ConfigError when nobody answers at the cluster's address, or this machine has fewer cores than asked."""
    if config.runner != "ray":
        return
    from nas.runner.cluster import check_address, check_machine

    if config.address is None:
        check_machine(_resources(config))
    else:
        check_address(config.address)


@contextmanager
def running(parts: Parts) -> Iterator[Callable[[Controller, WorkerSpec], Done]]:
    """What runs the trials; Ray starts at once, while the caller loads torch and gets the controller ready."""
    config = parts.config
    if config.runner == "local":
        from nas.runner.local import run_local

        def run_here(controller: Controller, spec: WorkerSpec) -> Done:
            _restrict(controller, parts, *_memory_here(config))
            return run_local(controller, spec)

        yield run_here
        return
    from nas.runner.cluster import starting

    resources = _resources(config)
    with starting(resources) as cluster:
        from nas.runner.ray_runner import run_ray

        def run(controller: Controller, spec: WorkerSpec) -> Done:
            controller.prepare()
            there = cluster()
            _restrict(controller, parts, _memory_there(resources, there.slots), raises=bool(resources.gpus_per_trial))
            return run_ray(controller, spec, resources, scheduler=make_scheduler(parts), cluster=there)

        yield run


def _memory_here(config: SearchConfig) -> tuple[float | None, bool]:
    """What tensors of a trial may take in this process, and whether that is on a GPU."""
    from nas.runner.memory import GPU_SHARE, SHARE, free_memory, free_of_gpu

    if (of_gpu := free_of_gpu()) is not None:
        return GPU_SHARE * of_gpu, True
    free = free_memory()
    return free and SHARE * free / config.processes, False


def _memory_there(resources: Resources, slots: int) -> float | None:
    """The same in a worker on Ray."""
    from nas.runner.memory import free_memory, part_of
    from nas.runner.nodes import gpu_memory, node_memory

    if resources.gpus_per_trial:
        return gpu_memory(resources)
    if resources.address is not None:
        return node_memory(slots, resources)
    free = free_memory()
    return free and part_of(free, slots * resources.processes)


def _restrict(controller: Controller, parts: Parts, there: float | None, raises: bool) -> None:
    """Refuses what does not fit beside the data into the memory of a trial, where that is known."""
    from nas.train.memory import memory_limit
    from nas.train.recipe import Recipe

    if there is not None:
        arrays = parts.task.train_arrays()
        data = sum(array.nbytes for array in (*arrays.x, arrays.y))
        controller.restrict(memory_limit(max(0.0, there - data), Recipe.parse(parts.config.recipe), raises=raises))


def _resources(config: SearchConfig) -> Resources:
    from nas.runner.spec import Resources

    return Resources(
        config.concurrency,
        config.cpus,
        config.gpus,
        config.address,
        config.runtime_env,
        config.processes,
        shares_gpus=config.gpus_per_trial == AUTO,
    )


def worker_spec(folder: Path, parts: Parts) -> WorkerSpec:
    """The workers of a search, and what every node must have for them."""
    from nas.plugin.shipping import plugin_sources
    from nas.runner.spec import WorkerSpec
    from nas.train.resolve import files_of

    wanted = any(objective.metric == LATENCY for objective in parts.objectives)
    known = any(limit.metric == LATENCY for limit in parts.limits)
    metrics = [objective.metric for objective in parts.objectives]
    config = {**worker_config(folder, parts.config), "latency": wanted and not known, "metrics": metrics}
    if parts.config.address is None:
        return WorkerSpec(config=config)
    from nas.runner.nodes import versions

    config |= {"sources": plugin_sources(parts.manager), "versions": versions()}
    sent = str(parts.config.runtime_env.get("working_dir", ""))  # where workers are, wherever it lies on their machine
    config["task"] = config["task"].replace(f"{sent}/", "") if sent else config["task"]
    return WorkerSpec(
        config=config, files=(*files_of(config["task"]), *files_of(str(config["recipe"].get("init", ""))))
    )


def worker_config(folder: Path, config: SearchConfig) -> dict[str, Any]:
    """What a worker is told: JSON, for it travels between processes."""
    return {
        "plugins": list(config.plugins),
        "task": config.task,
        "recipe": config.recipe,
        "seed": config.seed,
        "run": str(folder.resolve()),
        "storage": config.storage or str(folder.resolve()),
        "threads": config.threads,
        "processes": config.processes,
        "device": device_of(config),
    }
