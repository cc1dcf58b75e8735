"""What is under test: one registered thing with its options, buildable anew in this or another process."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from nas.errors import PluginError, SpaceError
from nas.plugin.build import build_space, build_strategy, build_table
from nas.plugin.manager import Manager, create_manager
from nas.plugin.registry import Entry, EntryKind, Registry, parse_spec
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

IMAGE = TaskInfo("image", (Port("image", (3, 32, 32)),), 10)
TASKS = (
    TaskInfo("small_image", (Port("image", (1, 8, 8)),), 10),
    IMAGE,
    TaskInfo("sequence", (Port("sequence", (12, 6)),), 3),
    TaskInfo("tokens", (Port("tokens", (16,)),), 4, vocabulary=32, padding=0),
    TaskInfo("next_token", (Port("tokens", (16,)),), 32, "token", vocabulary=32),
    TaskInfo("vector", (Port("vector", (13,)),), 2),
    TaskInfo("translation", (Port("tokens", (12,)), Port("tokens", (10,))), 32, "token", vocabulary=32, padding=0),
    TaskInfo("image_and_text", (Port("image", (3, 16, 16)), Port("tokens", (12,))), 5, vocabulary=32, padding=0),
)
"""The tasks that spaces are tried with; a space that refuses one is not made for it."""

KINDS: tuple[EntryKind, ...] = get_args(EntryKind)


@dataclass(frozen=True)
class Case:
    """One registered thing under test.

    spec: ``"name"`` or ``"name:option=value,..."``, as on the command line.
    task: the shapes and classes that a space is built for.
    files: plugin files to load beside the installed plugins.
    """

    kind: EntryKind
    spec: str
    task: TaskInfo | None = None
    files: tuple[str, ...] = ()

    @property
    def registry(self) -> Registry:
        """Everything that the installed plugins and `files` register."""
        return load(self.files).registry

    @property
    def entry(self) -> Entry:
        """The registered entry."""
        return self.registry.get(self.kind, parse_spec(self.spec)[0])

    def make(self) -> Any:
        """A fresh one; of a block its class."""
        if self.kind == "space":
            return self.space()
        if self.kind == "strategy":
            return build_strategy(self.registry, self.spec)
        if self.kind == "task":
            return self.entry.build(**parse_spec(self.spec)[1])
        if self.kind == "table":
            return build_table(self.registry, self.spec)
        return self.entry.load()

    def space(self) -> Space:
        """A fresh space for the task."""
        return build_space(self.registry, self.spec, self.task or IMAGE)

    def needs(self) -> list[str]:
        """Options without a default that `spec` does not give."""
        if self.kind not in ("space", "strategy", "task", "table"):
            return []
        given, options = self.entry.named(parse_spec(self.spec)[1]), self.entry.options()
        return [name for name, value in options.items() if value is inspect.Parameter.empty and name not in given]

    def to_dict(self) -> dict[str, Any]:
        """JSON that `from_dict` reads, for another process."""
        task = self.task and {
            "name": self.task.name,
            "inputs": [[port.kind, port.shape] for port in self.task.inputs],
            "outputs": self.task.outputs,
            "target": self.task.target,
            "vocabulary": self.task.vocabulary,
            "padding": self.task.padding,
        }
        return {"kind": self.kind, "spec": self.spec, "task": task, "files": self.files}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Case:
        """See `to_dict`."""
        task = said["task"]
        if task:
            inputs = tuple(Port(kind, tuple(shape)) for kind, shape in task["inputs"])
            task = TaskInfo(**task | {"inputs": inputs})
        return cls(said["kind"], said["spec"], task, tuple(said["files"]))

    def __str__(self) -> str:
        return f"{self.kind} {self.spec}" + (f" for {self.task.name}" if self.task else "")


@cache
def load(files: tuple[str, ...]) -> Manager:
    """The manager with the installed plugins and `files`; one a session, since plugins are found once."""
    return create_manager(files)


def cases(*kinds: EntryKind, plugin: str | Path | None = None) -> list[Case]:
    """A case for everything registered of these kinds (all when none is given), or for what one plugin registers.

    plugin: a plugin's file, or the name of an installed one. Raises PluginError when it cannot be loaded or registers
        nothing.
    """
    owner = str(plugin or "")
    files: tuple[str, ...] = ()
    if owner.endswith(".py"):
        owner = str(Path(owner).resolve())
        files = (owner,)
    manager = load(files)
    if owner in manager.failures:
        raise PluginError(f"plugin {owner!r} cannot be loaded: {manager.failures[owner]}")
    entries = [entry for kind in KINDS for entry in manager.registry.all(kind)]
    mine = [entry for entry in entries if not owner or entry.owner == owner]
    if owner and not mine:
        known = ", ".join(sorted({entry.owner for entry in entries}))
        raise PluginError(f"plugin {owner!r} registers nothing; plugins that do: {known}")
    return list(_cases((entry for entry in mine if not kinds or entry.kind in kinds), files))


def _cases(entries: Iterable[Entry], files: tuple[str, ...]) -> Iterator[Case]:
    for entry in entries:
        if entry.kind != "space":
            yield Case(entry.kind, entry.name, files=files)
            continue
        tried = [Case("space", entry.name, task, files) for task in TASKS]
        yield from [case for case in tried if _takes(case)] or tried[:1]


def _takes(case: Case) -> bool:
    try:
        case.space()
    except SpaceError:
        return False
    return True
