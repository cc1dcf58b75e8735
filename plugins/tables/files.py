"""Opening the files of published tables."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import ConfigError, UnknownNameError

Columns = dict[str, Any]


def columns(path: str, names: Iterable[str], table: str, source: str) -> Columns:
    """These arrays of an npz file; raises ConfigError, with where to get it, when it is missing or another file."""
    file = present(path, table, source)
    try:
        with np.load(file, allow_pickle=False) as found:
            if missing := [name for name in names if name not in found]:
                raise ConfigError(f"table {table!r}: {file} has no column {missing[0]!r}; expected {source}")
            return {name: found[name] for name in names}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"table {table!r}: {file} is no npz file; expected {source}") from error


def present(path: str, table: str, source: str) -> Path:
    """The file that the user named, if it is there."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"table {table!r}: {file} does not exist; name {source}")
    return file


def one_of(what: str, given: str, known: Iterable[str]) -> str:
    """`given`, if it is among `known`; else the nearest is named."""
    known = list(known)
    if given not in known:
        raise UnknownNameError(what, given, known)
    return given
