"""Files in a folder or behind a URL, whole or not at all: the few things that checkpoints and ledgers need.

URLs are those of Ray's ``storage_path``: what pyarrow opens (``s3://``, ``gs://``, ``file://``...), and beyond that
what fsspec opens. An object store shows a file when all of it is there; elsewhere it is written beside and renamed.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from nas.errors import ConfigError

OBJECT_STORES = frozenset({"s3", "gcs", "abfs", "py::fsspec+s3", "py::fsspec+gs", "py::fsspec+gcs", "py::fsspec+abfs"})
WAITS = (0.5, 2.0, 8.0)
"""Seconds between tries: a network may be away for a moment."""


@dataclass(frozen=True)
class RemoteFile:
    """A file, or a folder, at a `path` of a pyarrow filesystem; `url` is what people call it."""

    system: Any
    path: str
    url: str

    def __truediv__(self, name: str) -> RemoteFile:
        return RemoteFile(self.system, f"{self.path}/{name}", f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def parent(self) -> RemoteFile:
        """The folder that it is in."""
        return RemoteFile(self.system, self.path.rpartition("/")[0], self.url.rpartition("/")[0])

    def is_file(self) -> bool:
        """Whether there is such a file."""
        return bool(self.system.get_file_info(self.path).is_file)

    def read_bytes(self) -> bytes:
        """What is in it; raises FileNotFoundError."""
        with self.system.open_input_stream(self.path) as stream:
            found: bytes = stream.read()
        return found


File = Path | RemoteFile


def is_url(where: str) -> bool:
    """Whether it names no folder of this machine."""
    return "://" in where and not where.startswith("file://")


def open_place(where: str | Path) -> File:
    """The folder or URL; raises ConfigError for a URL that nothing here can open."""
    if not is_url(text := str(where)):
        return Path(text.removeprefix("file://"))
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    try:
        system, path = FileSystem.from_uri(text)
    except ArrowException:
        system, path = _by_fsspec(text)
    return RemoteFile(system, path.rstrip("/"), shown(text))


def shown(where: str) -> str:
    """The URL without passwords and options."""
    return re.sub(r"(?<=://)[^/@]*@", "", where).partition("?")[0].rstrip("/")


def write(file: File, data: bytes | memoryview) -> None:
    """Writes all of `data`, or leaves what was there; it is durable when this returns. Raises OSError."""
    if isinstance(file, Path):
        _write_local(file, data)
        return
    for wait in (*WAITS, None):
        try:
            _write_remote(file, data)
            return
        except Exception as error:  # what fsspec's file systems raise is not always an OSError
            if wait is None:
                raise OSError(f"cannot write {file}: {error}") from error
            time.sleep(wait)


def delete(file: File) -> None:
    """Removes a file, or a folder with all in it, if it is there and can be removed."""
    if isinstance(file, Path):
        shutil.rmtree(file, ignore_errors=True) if file.is_dir() else file.unlink(missing_ok=True)
        return
    with suppress(Exception):
        if file.is_file():
            file.system.delete_file(file.path)
        else:
            file.system.delete_dir(file.path)


def check_writable(where: str) -> None:
    """Raises ConfigError when nothing can be written there."""
    file = open_place(where) / f"check-{uuid4().hex[:8]}"
    try:
        _write_local(file, b"1") if isinstance(file, Path) else _write_remote(file, b"1")
        if file.read_bytes() != b"1":
            raise OSError("other bytes came back than were written")
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"expected a storage that can be written, got {shown(where)}: {said}") from error
    finally:
        delete(file)


def _by_fsspec(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        system, path = url_to_fs(url)
    except (ValueError, ImportError, OSError) as error:
        raise ConfigError(
            f"expected a storage such as a folder or s3://bucket/path, got {shown(url)}: {error}"
        ) from error
    return PyFileSystem(FSSpecHandler(system)), path


def _write_local(file: Path, data: bytes | memoryview) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}.tmp")  # a worker of a driver that was killed may still be writing, too
    with fresh.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
    _sync_folder(file.parent)


def _write_remote(file: RemoteFile, data: bytes | memoryview) -> None:
    if file.system.type_name in OBJECT_STORES:
        with file.system.open_output_stream(file.path) as stream:
            stream.write(data)
        return
    if file.system.get_file_info(file.parent.path).type.name != "Directory":
        file.system.create_dir(file.parent.path, recursive=True)
    with file.system.open_output_stream(f"{file.path}.tmp") as stream:
        stream.write(data)
    file.system.move(f"{file.path}.tmp", file.path)


def _sync_folder(folder: Path) -> None:
    """The rename itself is durable only when the folder is; not every system can open one."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
