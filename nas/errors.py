"""Every error this package raises on purpose.

NasError
├── ConfigError          an option, a TOML file or an argument is wrong
│   └── UnknownNameError a name nothing is registered under (says the nearest one)
├── PluginError          a plugin cannot be loaded, or two own one name
├── SpaceError           a search space or a graph is ill-formed
├── CandidateError       one architecture cannot be built; the search goes on
│   └── BlockError       because one of its blocks cannot take what comes in
├── TrainingError        one architecture cannot be trained; the search goes on
├── LostProcessError     one of the processes that train a trial has died; the trial goes on from its last epoch
├── TaskError            a data set is not what it must be
├── LedgerError          the record of a search cannot be read or written, or belongs to another
└── ExportError          an exported model is not equal to the trained one
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasError(Exception):
    """Base of every error raised on purpose by this package."""


class ConfigError(NasError):
    """An option, a TOML file or an argument is wrong."""


class PluginError(NasError):
    """A plugin cannot be loaded, or two plugins own one name."""


class SpaceError(NasError):
    """A search space or a graph is ill-formed."""


class CandidateError(NasError):
    """One architecture cannot be built for this task; other architectures may."""


class BlockError(CandidateError):
    """One block of an architecture cannot take what comes in.

    path: where the block stands.
    of_size: whether the height and width of an image, or the length of a sequence, are why, and not the block's own
        parameters or the widths that come in: it would take larger ones.
    """

    def __init__(self, message: str, path: str = "", *, of_size: bool = False) -> None:
        super().__init__(message)
        self.path, self.of_size = path, of_size


class TrainingError(NasError):
    """One candidate cannot be trained: its loss is not finite, or memory runs out; others may."""


class LostProcessError(NasError):
    """One of the processes that train a trial together has died; the trial can go on from its last epoch."""


class TaskError(NasError):
    """A data set is not what it must be."""


class LedgerError(NasError):
    """The record of a search cannot be read or written, or belongs to another search."""


class ExportError(NasError):
    """An exported model is not equal to the trained one."""


class UnknownNameError(ConfigError):
    """A name under which nothing is registered.

    >>> print(UnknownNameError("space", "cel_cnn", ["cell_cnn", "macro_cnn"]))
    unknown space 'cel_cnn'; did you mean 'cell_cnn'? known: cell_cnn, macro_cnn
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        super().__init__(str(self))

    def __str__(self) -> str:
        close = difflib.get_close_matches(self.name, self.known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        return f"unknown {self.what} {self.name!r}{hint} known: {', '.join(self.known) or 'none'}"

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        return (type(self), (self.what, self.name, self.known))
