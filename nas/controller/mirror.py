"""A search's record at a storage, so that another machine can go on with it; the driver's own folder comes first.

What is copied is always a record that was whole at some moment, at most a few seconds ago: a search that is resumed
from it trains again what ended after that. Copies are made by a thread, for a network must not keep the search waiting.
"""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.controller.checkpoints import Checkpoints
from nas.controller.history import History, Trial
from nas.controller.ledger import FILE
from nas.errors import LedgerError
from nas.storage import File, open_place, shown, write

CONFIG = "config.json"
PAUSE_SECONDS = 1.0
"""Between two copies, so that short trials do not copy the record a hundred times a second."""

logger = logging.getLogger(__name__)


class Mirror:
    """Copies the record in `folder` to `place` whenever it has changed, and drops checkpoints there; closed at the end.

    A storage that does not answer for a while ends nothing: it is tried again with the next change.
    """

    def __init__(self, folder: Path, place: File) -> None:
        self._folder, self._place = folder, place
        self._checkpoints = Checkpoints(place)
        self._woken, self._closed = threading.Event(), threading.Event()
        self._copied: dict[str, bytes] = {}
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="nas-mirror", daemon=True)
        self._thread.start()

    def changed(self, trial: Trial, history: History) -> None:
        """A trial has changed, and the record with it."""
        self._checkpoints.see(trial, history)
        self._woken.set()

    def close(self) -> None:
        """Copies what has not been copied."""
        self._closed.set()
        self._woken.set()
        self._thread.join()
        if self._problem:
            logger.warning("the record of %s is not whole at %s: %s", self._folder, self._place, self._problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            last = self._closed.is_set()
            try:
                for name in (CONFIG, FILE):
                    self._copy(name)
                self._checkpoints.drop()
                self._problem = ""
            except Exception as error:
                self._problem = " ".join(str(error).split())
            if last:
                return
            self._closed.wait(PAUSE_SECONDS)

    def _copy(self, name: str) -> None:
        data = (self._folder / name).read_bytes()
        if name == FILE:
            data = data[: data.rfind(b"\n") + 1]
        if self._copied.get(name) != data:
            write(self._place / name, data)
            self._copied[name] = data


def check_unused(storage: str) -> None:
    """Raises LedgerError when another search is kept at `storage`."""
    if (open_place(storage) / FILE).is_file():
        raise LedgerError(f"{shown(storage)} holds another search; resume it or give another storage")


def check_current(folder: Path, storage: str) -> None:
    """Raises LedgerError when the search in `folder` has gone on from `storage` without it."""
    file = open_place(storage) / FILE
    if file.is_file() and not (folder / FILE).read_bytes().startswith(file.read_bytes()):
        raise LedgerError(
            f"the search in {folder} has gone on elsewhere from {shown(storage)}; resume that, with another --out"
        )


def fetch(storage: str, folder: Path) -> None:
    """The record at `storage` as a search in `folder`; raises LedgerError when there is none, or `folder` has one."""
    if (folder / FILE).exists():
        raise LedgerError(f"{folder} holds a search; resume it there, or give another --out")
    place = open_place(storage)
    try:
        record: dict[str, Any] = json.loads((place / CONFIG).read_bytes())
        ledger = (place / FILE).read_bytes()
    except FileNotFoundError:
        raise LedgerError(f"{shown(storage)} holds no search (there is no {CONFIG} and {FILE} in it)") from None
    except OSError as error:
        raise LedgerError(f"expected a search at {shown(storage)}, cannot read it: {error}") from error
    record["config"]["storage"] = storage
    write(folder / CONFIG, json.dumps(record, indent=1).encode())
    write(folder / FILE, ledger)
