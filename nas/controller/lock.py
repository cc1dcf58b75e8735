"""One driver a search: an advisory lock that the kernel gives back when the driver dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from nas.errors import LedgerError


class RunLock:
    """Holds ``<folder>/lock`` until `release` or the death of this process.

    Raises LedgerError with the process number of the holder when another driver works in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode().strip() or "unknown"
            os.close(self._fd)
            raise LedgerError(
                f"expected {folder} to be free, got a search that process {holder} is running in it; "
                "wait for it or stop it"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the folder back; more than once is allowed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
