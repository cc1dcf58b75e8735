"""Finding plugins: installed ones by entry point, files by name. Never from a place the user did not name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from nas.errors import PluginError
from nas.plugin import hooks
from nas.plugin.registry import Registrar, Registry

GROUP = "nas"


@dataclass
class Manager:
    """The plugins of one session: their hooks, what they registered, and the ones that failed with the reason."""

    pluggy: pluggy.PluginManager
    registry: Registry = field(default_factory=Registry)
    failures: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def hook(self) -> Any:
        """Every hook of every plugin."""
        return self.pluggy.hook

    def register(self, plugin: object, name: str) -> None:
        """One plugin, wholly or not at all; raises PluginError with its name."""
        if self.pluggy.has_plugin(name):
            raise PluginError(f"plugin {name!r} is there already; give one of the two another name")
        try:
            if self.pluggy.register(plugin, name) is None:
                raise PluginError(f"plugin {name!r} is blocked")
            self.pluggy.check_pending()
            others = [p for p in self.pluggy.get_plugins() if p is not plugin]
            registrar = Registrar(name)
            self.pluggy.subset_hook_caller("nas_register", others)(registry=registrar)
            self.registry.add(registrar.entries)
        except Exception as error:
            if self.pluggy.has_plugin(name):
                self.pluggy.unregister(name=name)
            if isinstance(error, PluginError):
                raise
            raise PluginError(f"plugin {name!r} failed to register: {error}") from error


def create_manager(files: Iterable[str | Path] = (), *, installed: bool = True) -> Manager:
    """A fresh manager with the installed plugins and those in `files`.

    A plugin that fails is named in `Manager.failures` and the rest works. Raises PluginError only for a file that does
    not exist or registers a name that is taken.
    """
    paths = tuple(dict.fromkeys(str(Path(file).resolve()) for file in files))
    manager = Manager(pluggy.PluginManager(hooks.PROJECT), files=paths)
    manager.pluggy.add_hookspecs(hooks)
    if installed:
        for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
            try:
                manager.register(point.load(), point.name)
            except Exception as error:
                manager.failures[point.name] = _reason(error)
    for file in paths:
        if not Path(file).is_file():
            raise PluginError(f"plugin file {file} does not exist")
        try:
            plugin = load_file(Path(file))
        except Exception as error:
            manager.failures[file] = _reason(error)
            continue
        try:
            manager.register(plugin, file)
        except PluginError as error:
            if "is taken by" in str(error):
                raise
            manager.failures[file] = _reason(error)
    return manager


def load_file(path: Path) -> ModuleType:
    """The module in a plugin's file, under a name made from its path, the same in every process."""
    name = f"nas_plugin_{path.stem}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"expected a Python file as plugin, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
