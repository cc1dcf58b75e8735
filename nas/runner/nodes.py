"""The machines of a cluster, looked at before anything is trained: do they have our versions, and workers' files."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.errors import ConfigError
from nas.runner.memory import GPU_SHARE, free_of_gpu, part_of
from nas.runner.spec import Resources, WorkerSpec, explain
from nas.storage import check_writable, delete, open_place, shown, write

PACKAGES = ("graphnas", "torch", "ray")
NONE = "none"

LOOK_SECONDS = 900.0
"""Ray itself takes up to ten minutes to make a runtime environment."""


GPU_SECONDS = 60.0
"""A process that sees a GPU must load PyTorch first."""


def versions() -> dict[str, str]:
    """What a driver and its workers must have in common, without local parts such as torch's ``+cpu``."""
    return {"python": ".".join(platform.python_version_tuple()[:2]), **{name: _version(name) for name in PACKAGES}}


def check_versions(wanted: Mapping[str, str]) -> None:
    """Raises ConfigError when this process has other versions than the driver."""
    _compare(socket.gethostname(), wanted, versions())


def check_nodes(spec: WorkerSpec) -> None:
    """Raises ConfigError when a node that can train has other versions, or does not see what workers read and write.

    Only for nodes that are there now; a worker compares versions again when it is made.
    """
    nodes = [node for node in _nodes() if node["Alive"] and node["Resources"].get("CPU", 0.0) > 0]
    names = [node["NodeManagerHostname"] for node in nodes]
    for name, said in zip(names, _ask(nodes, _look, PACKAGES, spec.files), strict=True):
        _compare(name, versions(), said["versions"])
        for file in said["missing"]:
            raise ConfigError(
                f"node {name} has no file {file}; put it where all nodes see it under this path, or below the "
                "working_dir of --runtime-env"
            )
    place = str(spec.config.get("storage", spec.config.get("run")))
    token = f".seen-{uuid4().hex[:8]}"
    write(open_place(place) / token, b"1")
    try:
        for name, problem in zip(names, _ask(nodes, _share, place, token), strict=True):
            if problem:
                raise ConfigError(
                    f"node {name} cannot keep checkpoints in {shown(place)} ({problem}), so they would be lost; give "
                    "--storage, or an --out that all nodes share"
                )
    finally:
        delete(open_place(place) / token)


def node_memory(slots: int, resources: Resources) -> float | None:
    """What tensors may take in each process of a trial, on the node that has least; None where Ray does not say.

    Ray's figure: what was free when it started there.
    """
    found = []
    for there in (node["Resources"] for node in _nodes() if node["Alive"]):
        fit = min(slots, int(there.get("CPU", 0.0) / resources.cpus_per_trial))
        if fit and "memory" in there:
            found.append(part_of(there["memory"], fit * resources.processes))
    return min(found, default=None)


def gpu_memory(resources: Resources) -> float | None:
    """What tensors may take of each GPU of a trial, as a worker sees it; None where none answers in time."""
    share = min(1.0, resources.gpus_per_trial)
    task = ray.remote(num_cpus=0, num_gpus=share, max_calls=1, max_retries=0)(free_of_gpu)
    try:
        free: float | None = ray.get(task.remote(), timeout=GPU_SECONDS)
    except RayError:
        return None
    return None if free is None else GPU_SHARE * share * free


def _nodes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return found


def _ask(nodes: Sequence[Mapping[str, Any]], task: Callable[..., Any], *args: Any) -> list[Any]:
    """What `task` says on each node."""
    remote = ray.remote(num_cpus=0, max_retries=0)(task)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    asked = [remote.options(scheduling_strategy=place).remote(*args) for place in places]
    try:
        answers: list[Any] = ray.get(asked, timeout=LOOK_SECONDS)
    except RayError as error:
        raise ConfigError(f"expected every node of the cluster to run a task, got {explain(error)}") from error
    return answers


def _looker() -> Callable[..., dict[str, Any]]:
    def look(packages: Sequence[str], paths: Sequence[str]) -> dict[str, Any]:
        # a function in a function, so that Ray sends its code: our package may not be there
        import os
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found = {"python": ".".join(platform.python_version_tuple()[:2])}
        for name in packages:
            try:
                found[name] = version(name).partition("+")[0]
            except PackageNotFoundError:
                found[name] = "none"
        return {"versions": found, "missing": [path for path in paths if not os.path.exists(path)]}

    return look


_look = _looker()


def _share(place: str, token: str) -> str:
    """Why this node cannot see and write what the driver does, if it cannot."""
    try:
        if not (open_place(place) / token).is_file():
            return "it sees another place under that name"
        check_writable(place)
    except Exception as error:
        return str(error)
    return ""


def _compare(node: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name, here in wanted.items():
        if found[name] != here:
            raise ConfigError(
                f"node {node}: expected {name} {here}, as in this process, got {found[name]}; install the same version "
                "in the cluster's image, or give it by --runtime-env"
            )


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return NONE
