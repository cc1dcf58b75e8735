"""The machines of a cluster, looked at before anything is trained: do they have our versions, and workers' files."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.errors import ConfigError
from nas.runner.spec import WorkerSpec, explain

PACKAGES = ("graphnas", "torch", "ray")
NONE = "none"

LOOK_SECONDS = 900.0
"""Ray itself takes up to ten minutes to make a runtime environment."""


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
    run = spec.config.get("run")
    token = Path(run, f".seen-{uuid4().hex[:8]}") if run else None
    if token is not None:
        token.touch()
    try:
        paths = [*spec.files, *([str(token)] if token else [])]
        found = [(node["NodeManagerHostname"], said) for node, said in zip(nodes, _look_all(nodes, paths), strict=True)]
    finally:
        if token is not None:
            token.unlink(missing_ok=True)
    for name, said in found:
        _compare(name, versions(), said["versions"])
        for file in said["missing"]:
            _refuse_missing(name, file, str(run) if file == str(token) else None)


def _nodes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return found


def _look_all(nodes: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> list[dict[str, Any]]:
    def look(packages: Sequence[str], paths: Sequence[str]) -> dict[str, Any]:
        # inside of a function, so that Ray sends its code: our package may not be there
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

    remote = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = [
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            PACKAGES, list(paths)
        )
        for node in nodes
    ]
    try:
        answers: list[dict[str, Any]] = ray.get(asked, timeout=LOOK_SECONDS)
    except RayError as error:
        raise ConfigError(f"expected every node of the cluster to run a task, got {explain(error)}") from error
    return answers


def _compare(node: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name, here in wanted.items():
        if found[name] != here:
            raise ConfigError(
                f"node {node}: expected {name} {here}, as in this process, got {found[name]}; install the same version "
                "in the cluster's image, or give it by --runtime-env"
            )


def _refuse_missing(node: str, file: str, run: str | None) -> None:
    if run is not None:
        raise ConfigError(
            f"node {node} does not see the run's folder {run}, so its checkpoints would be lost with it; give "
            "--storage, or an --out that all nodes share"
        )
    raise ConfigError(
        f"node {node} has no file {file}; put it where all nodes see it under this path, or below the working_dir "
        "of --runtime-env"
    )


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return NONE
