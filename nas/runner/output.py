"""What a trial prints: standard output and error, warnings, and the traceback of one that fails, in a file of its own.

The file lies where checkpoints do, so that it is found from wherever the search is driven, and what a worker printed
before it was killed is in it.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOBase
from pathlib import Path
from typing import Any, TextIO, cast

from nas.storage import File, open_place, write

FOLDER = "logs"
MOST_BYTES = 64 * 1024
"""Of a log; of one that grows beyond it the first and the last half are kept, after each epoch."""
DESCRIPTORS = (1, 2)
"""Of standard output and standard error."""


def log_file(place: File, number: int) -> File:
    """Where trial `number` keeps what it printed: `place` is the search's folder or its storage."""
    return place / FOLDER / f"{number}.log"


def last_lines(place: File, number: int, count: int) -> list[str] | None:
    """The end of a trial's log; None where there is none."""
    try:
        return log_file(place, number).read_bytes().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return None


class TrialOutput:
    """The log of one trial; what is printed within `kept` goes there.

    config: a worker's; one that names no folder keeps no logs.
    echo: also where it went before, for trials in a process that people look at.

    Nothing that happens to a log is a trial's fault: where none can be written there is none.
    """

    def __init__(self, config: Mapping[str, Any], job: Mapping[str, Any], *, echo: bool = False) -> None:
        self._echo = echo
        self._log: int | None = None
        self._sent = 0
        place = config.get("storage", config.get("run"))
        if place is None:
            return
        self._file = log_file(open_place(place), job["number"])
        with suppress(OSError):
            self._log = self._opened()
            begins = "goes on" if job.get("resume") else "begins"
            self._say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} trial {job['number']} {begins}")
            self._say(f" on {socket.gethostname()}, process {os.getpid()}\n")
            self._sent = self._size()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While this is entered, what is printed goes to the log."""
        if self._log is None:
            yield
            return
        with _echoed(self._log) if self._echo else _redirected(self._log):
            yield
        with suppress(OSError):
            self._shorten()
            if self._size() > self._sent:
                self._send()

    def failed(self, error: BaseException) -> None:
        """Adds the traceback."""
        if self._log is not None:
            with suppress(OSError):
                self._say("".join(traceback.format_exception(error)))

    def close(self) -> None:
        """The trial has ended, or left this process."""
        if self._log is None:
            return
        with suppress(OSError):
            self._shorten()
            self._send()
        os.close(self._log)
        self._log = None

    def _opened(self) -> int:
        if isinstance(self._file, Path):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        handle, name = tempfile.mkstemp(prefix="nas-log-")
        os.close(handle)
        opened = os.open(name, os.O_RDWR | os.O_APPEND)
        os.unlink(name)
        with suppress(OSError):  # of a trial that goes on
            os.write(opened, self._file.read_bytes())
        return opened

    def _say(self, text: str) -> None:
        assert self._log is not None
        os.write(self._log, text.encode(errors="replace"))

    def _size(self) -> int:
        assert self._log is not None
        return os.fstat(self._log).st_size

    def _shorten(self) -> None:
        """The beginning says what went wrong first, and the end what happened last."""
        assert self._log is not None
        if (size := self._size()) <= MOST_BYTES:
            return
        half = MOST_BYTES // 2
        first, last = os.pread(self._log, half, 0), os.pread(self._log, half, size - half)
        first, last = first[: first.rfind(b"\n") + 1], last[last.find(b"\n") + 1 :]
        left_out = size - len(first) - len(last)
        os.ftruncate(self._log, 0)
        os.write(self._log, first + f"... {left_out} bytes are left out here ...\n".encode() + last)

    def _send(self) -> None:
        """To a storage that is no folder."""
        assert self._log is not None
        self._sent = self._size()
        if not isinstance(self._file, Path):
            write(self._file, os.pread(self._log, self._sent, 0))


@contextmanager
def _redirected(log: int) -> Iterator[None]:
    """All that this process prints, from C, too."""
    _flush()
    before = [os.dup(descriptor) for descriptor in DESCRIPTORS]
    try:
        for descriptor in DESCRIPTORS:
            os.dup2(log, descriptor)
        with _replaced(_Log(log), _Log(log)):
            yield
    finally:
        _flush()
        for descriptor, kept in zip(DESCRIPTORS, before, strict=True):
            os.dup2(kept, descriptor)
            os.close(kept)


@contextmanager
def _echoed(log: int) -> Iterator[None]:
    """What Python prints, which still goes where it went."""
    with _replaced(_Echo(sys.stdout, log), _Echo(sys.stderr, log)):
        yield


@contextmanager
def _replaced(out: object, err: object) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Log(TextIOBase):
    """A log as a stream; a full disk fails no trial that prints."""

    def __init__(self, log: int) -> None:
        self._log = log

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(self._log, text.encode(errors="replace"))
        return len(text)

    def fileno(self) -> int:
        return self._log


class _Echo:
    """A stream that writes to a log, too."""

    def __init__(self, stream: TextIO, log: int) -> None:
        self._stream, self._log = stream, _Log(log)

    def write(self, text: str) -> int:
        self._log.write(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
