"""From what a user wrote, a name or a file, to the registered task that is meant. No torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.errors import ConfigError, TaskError, UnknownNameError
from nas.plugin.registry import Entry, Registry, parse_spec


def find_task(registry: Registry, text: str) -> tuple[Entry, dict[str, Any]]:
    """The task that ``digits``, ``name:option=value`` or ``file.suffix:option=value`` names, and its options.

    Of several tasks that read files of one suffix, the one that says the file is its own is taken; what each expects is
    in the error when none does. Raises UnknownNameError, ConfigError or TaskError.
    """
    name, options = parse_spec(text)
    entries = registry.all("task")
    if name in {entry.name for entry in entries}:
        entry = registry.get("task", name)
        options = entry.named(options)
        _need(entry, options)
        return entry, options
    path = Path(name)
    suffixes = {suffix for entry in entries for suffix in _suffixes(entry)}
    if found := [suffix for suffix in suffixes if name.lower().endswith(suffix)]:
        if not path.is_file():
            raise TaskError(f"task file {name} does not exist" if not path.exists() else f"task {name} is no file")
        readers = [entry for entry in entries if max(found, key=len) in _suffixes(entry)]
        return _reader(readers, path), {**options, "path": name}
    if path.suffix or path.exists() or len(path.parts) > 1:
        known = ", ".join(sorted(suffixes)) or "none"
        raise TaskError(f"no task reads files like {name}; known suffixes: {known}; known tasks: {_names(entries)}")
    raise UnknownNameError("task", name, (entry.name for entry in entries))


def absolute_task(registry: Registry, text: str) -> str:
    """`text` with the files it may name as absolute paths, so that it means the same in every folder.

    Files are the task itself and the values of options called ``path`` or ending in ``_from``.
    """
    name, colon, rest = text.partition(":")
    registered = name in {entry.name for entry in registry.all("task")}
    first = name if registered or not Path(name).is_file() else str(Path(name).resolve())
    return f"{first}{colon}{','.join(map(_absolute_option, rest.split(',')))}"


def files_of(text: str) -> tuple[str, ...]:
    """The files and folders that are there of those which a task's or an option's text names."""
    name, options = parse_spec(text)
    return tuple(
        value for value in (name, *options.values()) if isinstance(value, str) and value and Path(value).exists()
    )


def _absolute_option(text: str) -> str:
    key, equals, value = text.partition("=") if "=" in text else ("", "", text)
    is_path = key.strip() in ("", "path") or key.strip().endswith("_from")
    there = is_path and bool(value.strip()) and Path(value.strip()).exists()
    return f"{key}{equals}{Path(value.strip()).resolve()}" if there else text


def _reader(readers: Sequence[Entry], path: Path) -> Entry:
    """The one that reads the file; a task that cannot tell its files from others' reads those that no other wants."""
    if len(readers) == 1:
        return readers[0]
    claims = [entry for entry in readers if (claim := entry.claim()) is not None and claim(path)]
    claims = claims or [entry for entry in readers if entry.claim() is None]
    if len(claims) == 1:
        return claims[0]
    if claims:
        raise TaskError(f"{path}: tasks {_names(claims)} read this file; say which with '{claims[0].name}:path={path}'")
    expected = "; ".join(f"{entry.name}: {entry.summary}" for entry in readers)
    raise TaskError(f"{path}: no task reads what is in this file; expected one of: {expected}")


def _need(entry: Entry, options: Mapping[str, Any]) -> None:
    """Raises ConfigError when an option without a default is not given."""
    for name, default in entry.options().items():
        if default is inspect.Parameter.empty and name not in options:
            suffixes = _suffixes(entry)
            instead = f" or a file ending in {' or '.join(suffixes)}" if suffixes else ""
            raise ConfigError(f"task {entry.name!r} needs option {name!r}; give '{entry.name}:{name}=...'{instead}")


def _suffixes(entry: Entry) -> tuple[str, ...]:
    found: tuple[str, ...] = entry.details.get("suffixes", ())
    return found


def _names(entries: Sequence[Entry]) -> str:
    return ", ".join(entry.name for entry in entries) or "none"
