"""Results of earlier searches: a network that was trained before, on the same data in the same way, is answered.

A file an entry, put in its place in one step, so that searches side by side and those that are killed leave whole
entries or none. What cannot be read counts as not there; a folder that cannot be written is said once.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

from nas.controller.history import Trial
from nas.storage import File

FORMAT = 1
MOST_BYTES = 2 * 2**30
"""Of a whole cache; weights and results that nobody asked for longest go first."""
ENTRY, WEIGHTS = ".json", ".pt"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a network that was trained before: its epochs, and where its weights lie, if they were kept."""

    curve: tuple[Mapping[str, float], ...]
    metrics: Mapping[str, float]
    seconds: float
    weights: Path | None


class ResultCache:
    """The results in `folder` that hold for `context`: all that decides a result beside the network itself."""

    def __init__(self, folder: str | Path, context: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._context = json.dumps({"format": FORMAT, **context}, sort_keys=True)
        self._writable = True

    def get(self, digest: str) -> Known | None:
        """What is known of the network with this digest, None where it was not trained before."""
        file = self._file(digest, ENTRY)
        try:
            said = json.loads(file.read_text())
            curve = tuple({str(k): v for k, v in epoch.items()} for epoch in said["curve"])
            found = Known(curve, dict(said["metrics"]), float(said["seconds"]), None)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        weights = self._file(digest, WEIGHTS)
        for used in (file, weights):
            with suppress(OSError):
                os.utime(used)
        return Known(found.curve, found.metrics, found.seconds, weights if weights.is_file() else None)

    def put(self, trial: Trial) -> None:
        """Keeps the result of a complete trial."""
        said = {"curve": [dict(epoch) for epoch in trial.curve], "metrics": dict(trial.metrics)}
        text = json.dumps({**said, "seconds": trial.seconds}, separators=(",", ":"))
        self._write(self._file(trial.digest, ENTRY), text.encode())

    def keep(self, trials: Sequence[tuple[Trial, File]]) -> None:
        """Keeps the weights of trials in these files, and of the whole cache what there is room for."""
        for trial, weights in trials:
            if weights.is_file():
                self._write(self._file(trial.digest, WEIGHTS), weights.read_bytes())
        drop_oldest(self.folder)

    def _file(self, digest: str, suffix: str) -> Path:
        key = blake2b(f"{digest}{self._context}".encode(), digest_size=16).hexdigest()
        return self.folder / key[:2] / f"{key}{suffix}"

    def _write(self, file: Path, content: bytes) -> None:
        if not self._writable:
            return
        partial = file.with_name(f"{file.name}.{uuid4().hex}.tmp")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(file)
        except OSError as error:
            self._writable = False
            with suppress(OSError):
                partial.unlink()
            logger.warning("results are not kept for other searches: cannot write %s: %s", self.folder, error)


def drop_oldest(folder: Path, most: int = MOST_BYTES) -> None:
    """Deletes what was asked for longest ago until `most` bytes are left at most, and what a killed writer left."""
    found = []
    for file in folder.glob("??/*"):
        with suppress(OSError):
            said = file.stat()
            if file.suffix == ".tmp" and time.time() - said.st_mtime > 3600:
                file.unlink()
            else:
                found.append((said.st_mtime, said.st_size, file))
    total = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if total <= most:
            return
        with suppress(OSError):
            file.unlink()
            total -= size
