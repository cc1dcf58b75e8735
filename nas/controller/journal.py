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
    """Optuna's journal file whose records can be written together: one write, one fsync."""

    def __init__(self, path: Path) -> None:
        # Optuna follows the link to see its age, so a relative target would never look old and block for ever
        self.path = path.resolve()
        self._together: list[dict[str, Any]] | None = None
        super().__init__(str(self.path), JournalFileSymlinkLock(str(self.path), grace_period=5))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Durable when it returns; raises LedgerError, with the journal as it was, when it cannot be written."""
        if self._together is not None:
            self._together += logs
            return
        size = self.path.stat().st_size
        try:
            super().append_logs(logs)
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, size)
            raise LedgerError(f"cannot write {self.path}: {error.strerror}; nothing recorded is lost") from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """Records written inside reach the disk at the end, in one piece."""
        logs: list[dict[str, Any]] = []
        self._together = logs
        try:
            yield
        finally:
            self._together = None
        if logs:
            self.append_logs(logs)


def repair(path: Path) -> int:
    """Drops a torn last line and a dead writer's lock, and gives the bytes dropped; only for the search's driver."""
    _drop_stale_lock(Path(f"{path.resolve()}.lock"))
    data = path.read_bytes()
    end = len(data)
    while end and not _is_record(data[data.rfind(b"\n", 0, end - 1) + 1 : end]):
        end = data.rfind(b"\n", 0, end - 1) + 1
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
