"""Reading data files with errors that people can act on, and numbering classes. No torch."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.train.task import Array, Arrays, split

BAD_ZIP = (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error)
TEST_SEED, TEST_FRACTION = 0, 0.2
"""What is held out for the test where a data set says nothing: a fifth, always the same."""


def array_names(path: str | Path) -> list[str]:
    """Names of the arrays in an .npz file; raises TaskError for a file that is none."""
    with _opened(Path(path), ()) as archive:
        return list(archive.files)


def read_arrays(path: str | Path, names: Sequence[str], *, among: Sequence[str] = ()) -> dict[str, Array]:
    """The named arrays of an .npz file, the others stay on disk; pickled objects are never loaded.

    among: every array that the file must have, `names` where not given. Raises TaskError.
    """
    among = among or names
    with _opened(Path(path), among) as archive:
        if missing := [name for name in among if name not in archive.files]:
            raise TaskError(
                f"{path}: expected the arrays {', '.join(among)}; missing {', '.join(missing)}, "
                f"got {', '.join(archive.files) or 'none'}"
            )
        return {name: archive[name] for name in names}


@contextmanager
def _opened(file: Path, names: Sequence[str]) -> Iterator[np.lib.npyio.NpzFile]:
    having = f" with {', '.join(names)}" if names else ""
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise TaskError(f"{file}: expected an .npz{having}, got a single array")
            yield archive
    except FileNotFoundError:
        raise TaskError(f"task file {file} does not exist") from None
    except BAD_ZIP as error:
        if "allow_pickle" in str(error):
            raise TaskError(
                f"{file}: expected an .npz of plain number arrays, got pickled objects or no .npz at all"
            ) from None
        raise TaskError(f"{file}: expected an .npz file written by numpy.savez, cannot read it: {error}") from None


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, which may be packed by gzip; raises TaskError, also for an empty one."""
    file = Path(path)
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except FileNotFoundError:
        raise TaskError(f"task file {file} does not exist") from None
    except UnicodeDecodeError as error:
        raise TaskError(f"{file}: expected UTF-8 text, got other bytes at {error.start:,}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TaskError(f"{file}: expected text or text packed by gzip, cannot read it: {error}") from None
    if not text.strip():
        raise TaskError(f"{file}: expected some text, got none")
    return text.replace("\r\n", "\n")


def numbered(labels: Array, where: str) -> tuple[Array, list[str]]:
    """Labels of any kind as classes (N,) int64 0..K-1 in the order of their names, and these names.

    Raises TaskError when there is one class only.
    """
    names, y = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise TaskError(f"{where}: expected at least 2 classes, got {', '.join(map(str, names)) or 'none'}")
    return y.astype(np.int64).reshape(-1), [str(name) for name in names]


def parted(arrays: Arrays, test: Array | None) -> tuple[Arrays, Arrays]:
    """What is searched on and what is tested on: where `test` is True; without it a fifth that is always the same."""
    if test is None:
        return split(arrays, TEST_SEED, TEST_FRACTION)
    return arrays.take(np.flatnonzero(~test)), arrays.take(np.flatnonzero(test))
