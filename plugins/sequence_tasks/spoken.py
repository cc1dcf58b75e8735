"""Spoken digits (Jackson et al., Free Spoken Digit Dataset, CC BY-SA 4.0) as waveform or log-mel spectrogram."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from nas.errors import ConfigError, TaskError
from nas.space.ports import Port, TaskInfo
from nas.train.files import array_names, numbered, parted, read_arrays
from nas.train.task import Array, Arrays, ArrayTask

from .mel import log_mel

NAMES = ("audio", "offset", "digit", "speaker", "index", "rate")
OFFICIAL = 5
"""Recordings 0..4 of each speaker and digit are the official test part."""


def claims(path: Path) -> bool:
    """Whether the file has audio and digits."""
    return {"audio", "digit"} <= set(array_names(path))


def spoken(
    *,
    path: str,
    features: Literal["logmel", "waveform"] = "logmel",
    split: Literal["official", "speaker"] = "official",
    seconds: float = 1.0,
    mels: int = 40,
) -> ArrayTask:
    """Recordings in a file with audio (all samples), offset (n + 1,), digit (n,), speaker (n,), index (n,) and rate.

    features: ``logmel``, a sequence of frames each 10 ms with `mels` features, or ``waveform``, one with 1 feature and
        a step a sample.
    split: ``official`` tests on recordings 0..4 of every speaker and digit; ``speaker`` on all of the last speaker,
        whom no one has heard in training.
    seconds: recordings are cut to this length, or filled with silence before they begin, so that what reads the last
        step reads speech.

    Raises ConfigError or TaskError.
    """
    if features not in ("logmel", "waveform") or split not in ("official", "speaker"):
        raise ConfigError(
            "task 'spoken': expected features=logmel or waveform and split=official or speaker, "
            f"got features={features} and split={split}"
        )
    file = Path(path)
    found = read_arrays(file, NAMES)
    _check(found, str(file))
    rate = int(found["rate"])
    if not 0.05 <= seconds <= 60:
        raise ConfigError(f"option 'seconds' of task 'spoken': expected 0.05 to 60, got {seconds}")
    x = _cut(found["audio"], found["offset"], round(seconds * rate))
    sequences = x[:, :, None] if features == "waveform" else log_mel(x, rate, mels)
    y, classes = numbered(found["digit"], f"{file}: digit")
    speaker = found["speaker"]
    train, test = parted(
        Arrays((sequences,), y), found["index"] < OFFICIAL if split == "official" else speaker == speaker.max()
    )
    info = TaskInfo(file.stem, (Port("sequence", sequences.shape[1:]),), len(classes))
    return ArrayTask(info, train, lambda: test, facts={"classes": classes})


def _check(found: dict[str, Array], where: str) -> None:
    n = len(found["digit"])
    for name, wanted in (("offset", n + 1), ("speaker", n), ("index", n)):
        if found[name].shape != (wanted,):
            raise TaskError(f"{where}: {name}: expected shape ({wanted},) for {n} digits, got {found[name].shape}")
    offset, audio = found["offset"], found["audio"]
    if audio.ndim != 1 or offset[0] < 0 or offset[-1] > len(audio) or (np.diff(offset) < 1).any():
        raise TaskError(f"{where}: offset: expected rising positions in the {len(audio):,} samples of audio")
    if audio.dtype != np.int16:
        raise TaskError(f"{where}: audio: expected int16 samples, got {audio.dtype}")


def _cut(audio: Array, offset: Array, samples: int) -> Array:
    """(n, samples) int16, the beginning of each recording, with silence before what is shorter."""
    x = np.zeros((len(offset) - 1, samples), dtype=np.int16)
    for row, begin, end in zip(x, offset, offset[1:], strict=False):
        part = audio[begin : min(end, begin + samples)]
        row[len(row) - len(part) :] = part
    return x
