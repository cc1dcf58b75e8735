"""One writer a checkpoint: who takes a trial over last has it, and who had it before has it no more.

A worker can outlive a driver that was killed, and one behind a network that fails can come back. What it trains then is
another's by now: it must not put its older weights in the place of those that the ledger tells of.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from nas.errors import LedgerError, TrainingError
from nas.storage import File, write
from nas.train import checkpoint

WRITER = "writer"
"""The file beside a checkpoint that says who may write it; gone with the trial's folder when the trial has ended."""


class Keeper:
    """The right to write the checkpoint `file`, taken when this is made.

    Look at the checkpoint after that: what an earlier worker writes until then is still in time.
    """

    def __init__(self, file: File) -> None:
        self._file, self._writer, self._token = file, file.parent / WRITER, uuid4().hex.encode()
        try:
            write(self._writer, self._token)
        except OSError as error:
            raise self._unwritable(error) from error
        for leftover in (
            file.parent.glob("*.tmp") if isinstance(file, Path) else ()
        ):  # of writers that were killed; one that lives fails by that
            with suppress(OSError):
                leftover.unlink()

    def save(self, state: dict[str, Any]) -> None:
        """Writes `state` and returns when it is durable.

        Raises TrainingError when another has taken the trial over, LedgerError when nothing can be written: the search
        must end then, for every trial would fail in the same way.
        """
        self._check()
        try:
            checkpoint.save(state, self._file)
        except (OSError, RuntimeError) as error:  # torch turns some errors of files into the latter
            if not isinstance(error, OSError) and "inline_container" not in str(error):
                raise
            self._check()
            raise self._unwritable(error) from error

    def _check(self) -> None:
        try:
            holder = self._writer.read_bytes()
        except FileNotFoundError:
            holder = b"nobody"
        except OSError as error:
            raise self._unwritable(error) from error
        if holder != self._token:
            raise TrainingError("this trial has ended, or another worker has taken it over")

    def _unwritable(self, error: Exception) -> LedgerError:
        said = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        return LedgerError(f"cannot write {self._file}: {said}; what was recorded before is safe, resume the search")
