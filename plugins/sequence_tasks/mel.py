"""Log-mel spectrograms in numpy (Davis & Mermelstein 1980, with the mel scale of O'Shaughnessy 1987)."""

from __future__ import annotations

import numpy as np

from nas.errors import ConfigError
from nas.train.task import Array

WINDOW, HOP = 0.032, 0.01
"""Seconds that a frame sees, and from one frame to the next."""


def log_mel(x: Array, rate: int, mels: int) -> Array:
    """Samples x (n, T) int16 as (n, frames, mels) float32: logarithms of the energy in bands that people hear alike.

    Raises ConfigError for more bands than a frame has frequencies for.
    """
    size, hop = round(WINDOW * rate), round(HOP * rate)
    filters = mel_filters(rate, size, mels)
    window = np.hanning(size + 1)[:-1].astype(np.float32) / 2**15
    frames = np.lib.stride_tricks.sliding_window_view(x, size, axis=1)[:, ::hop]
    made = np.empty((*frames.shape[:2], mels), dtype=np.float32)
    for row, recording in zip(made, frames, strict=True):
        power = np.abs(np.fft.rfft(recording * window, axis=1)) ** 2
        row[:] = np.log(power @ filters + 1e-6)
    return made


def mel_filters(rate: int, size: int, mels: int) -> Array:
    """Triangles (size // 2 + 1, mels) over the frequencies of a frame of `size` samples, evenly spaced in mels."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    filters: Array = np.maximum(0, np.minimum(rising, falling))
    if mels < 1 or (filters.sum(axis=0) == 0).any():
        raise ConfigError(f"expected few enough mel bands that each holds a frequency of {size} samples, got {mels}")
    return filters
