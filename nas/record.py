"""``config.json`` of a run: what was searched and on what, enough to read the run without its data."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nas.config import SearchConfig
from nas.errors import LedgerError
from nas.parts import Parts
from nas.space.ports import Port, TaskInfo


def make_record(parts: Parts) -> dict[str, Any]:
    """What config.json holds: the options, and what is needed to read the run without its data."""
    info = parts.task.info
    return {
        "config": parts.config.model_dump(mode="json"),
        "fingerprint": parts.task.fingerprint,
        "task": {
            "name": info.name,
            "inputs": [[port.kind, list(port.shape)] for port in info.inputs],
            "outputs": info.outputs,
            "target": info.target,
            "vocabulary": info.vocabulary,
            "padding": info.padding,
        },
        "versions": {name: version(name) for name in ("graphnas", "torch", "ray", "optuna")},
        "python": platform.python_version(),
        "machine": platform.platform(),
    }


def read_record(folder: Path) -> dict[str, Any]:
    """What a run's config.json holds; raises LedgerError where there is none or it is damaged."""
    try:
        found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        raise LedgerError(f"{folder} holds no search (there is no config.json in it)") from None
    except ValueError as error:
        raise LedgerError(f"{folder / 'config.json'} is damaged: {error}") from error
    return found


def stored_config(record: Mapping[str, Any]) -> SearchConfig:
    """The options of the search."""
    return SearchConfig.parse(record["config"])


def stored_info(record: Mapping[str, Any]) -> TaskInfo:
    """The task's shapes, as they were when the search began."""
    task = record["task"]
    ports = tuple(Port(kind, tuple(shape)) for kind, shape in task["inputs"])
    return TaskInfo(task["name"], ports, task["outputs"], task["target"], task["vocabulary"], task.get("padding"))
