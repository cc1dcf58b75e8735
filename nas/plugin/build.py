"""From what a user wrote (``cell_cnn:channels=16``) to the thing itself."""

from __future__ import annotations

from inspect import Parameter
from typing import Any

from nas.errors import ConfigError, NasError, SpaceError
from nas.plugin.manager import Manager
from nas.plugin.registry import Registry, parse_spec
from nas.space.graph import Graph
from nas.space.ports import TaskInfo
from nas.space.space import Space


def build_space(registry: Registry, text: str, task: TaskInfo) -> Space:
    """The space that ``"name:option=value,..."`` names, for the shapes and classes of `task`.

    Raises UnknownNameError for an unknown space or option, SpaceError for an ill-formed space.
    """
    name, options = parse_spec(text)
    entry = registry.get("space", name)
    try:
        made = entry.build(registry.blocks, task, **options)
        if isinstance(made, Graph):
            made = Space(made)
        if not isinstance(made, Space):
            raise SpaceError(f"expected a Space or a Graph, got {type(made).__name__}")
        return made.bound([port.kind for port in task.inputs], text)
    except NasError as error:
        if isinstance(error, SpaceError):
            raise SpaceError(f"space {name!r} of plugin {entry.owner!r}: {error}") from error
        raise
    except (TypeError, ValueError) as error:
        raise SpaceError(f"space {name!r} of plugin {entry.owner!r} with {options or 'no options'}: {error}") from error


def build_strategy(registry: Registry, text: str) -> Any:
    """The strategy that ``"name:option=value,..."`` names."""
    name, options = parse_spec(text)
    return registry.get("strategy", name).build(**options)


def add_logger(manager: Manager, text: str) -> None:
    """The logger that ``"name:option=value,..."`` names hears what `manager`'s observers hear from now on."""
    name, options = parse_spec(text)
    manager.register(manager.registry.get("logger", name).build(**options), f"logger {text}")


def build_table(registry: Registry, text: str) -> Any:
    """The table that ``"name:option=value,..."`` names; raises UnknownNameError, ConfigError or SpaceError."""
    name, options = parse_spec(text)
    entry = registry.get("table", name)
    for option, default in entry.options().items():
        if default is Parameter.empty and option not in options:
            raise ConfigError(f"table {name!r} ({entry.summary}) needs option {option!r}; give '{name}:{option}=...'")
    return entry.build(registry, **options)
