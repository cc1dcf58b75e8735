"""An Optuna journal file that survives what happens to files: a writer killed in the middle of a line, a full disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from nas.errors import LedgerError

STALE_SECONDS = 1.0
"""A journal's own lock is held for milliseconds; a second without change means that its holder is dead."""


class Journal(JournalFileBackend):
    """Optuna's journal file whose records can be written together, and need not all wait for the disk.

    What is written outlives the process at once, and the machine after the next fsync. `append_logs` raises
    LedgerError, with the journal as it was, when nothing can be written.
    """

    def __init__(self, path: Path) -> None:
        # Optuna follows the lock's link to see its age: a relative one would never look old, and block for ever
        self.path = path.resolve()
        self._file_lock = JournalFileSymlinkLock(str(self.path), grace_period=5)
        self._together: list[dict[str, Any]] | None = None
        self._fsync = True
        super().__init__(str(self.path), self._file_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """See the class."""
        if self._together is not None:
            self._together += logs
            return
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        self._file_lock.acquire()
        try:
            self._append(lines)
        finally:
            self._file_lock.release()

    def _append(self, lines: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                if file.write(lines) < len(lines):
                    raise OSError("the disk is full")
                if self._fsync:
                    os.fsync(file.fileno())
            except OSError as error:
                with suppress(OSError):
                    file.truncate(size)
                raise LedgerError(f"cannot write {self.path}: {error}; what was recorded before is safe") from error

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Records written inside don't wait for the disk; the next that does takes them along."""
        self._fsync = False
        try:
            yield
        finally:
            self._fsync = True

    @contextmanager
    def together(self) -> Iterator[None]:
        """Records written inside reach the file at the end, in one piece."""
        logs: list[dict[str, Any]] = []
        self._together = logs
        try:
            yield
        finally:
            self._together = None
        self.append_logs(logs)


class JournalReader(JournalFileBackend):
    """A journal that is only read, while another process may write it; nothing is locked or created."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve(strict=True)
        super().__init__(str(self.path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Raises LedgerError."""
        raise LedgerError(f"{self.path} is only read here; a search is changed by nas resume alone")


def repair(path: Path) -> int:
    """Drops a torn last line and a dead writer's lock, and gives the bytes dropped; only for the search's driver."""
    _drop_stale_lock(Path(f"{path.resolve()}.lock"))
    data = path.read_bytes()
    end = len(data)
    while end and not _is_record(data[(start := data.rfind(b"\n", 0, end - 1) + 1) : end]):
        end = start
    if end < len(data):
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())
    return len(data) - end


def _is_record(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _drop_stale_lock(link: Path) -> None:
    with suppress(FileNotFoundError):
        while time.time() - link.lstat().st_mtime < STALE_SECONDS:
            time.sleep(0.05)
        link.unlink()
    for leftover in link.parent.glob(f"{link.name}*.rename"):
        leftover.unlink(missing_ok=True)
