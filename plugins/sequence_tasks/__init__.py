"""Sequence classification: time series of the UCR/UEA archive, and spoken digits as waveform or log-mel."""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the tasks; both read .npz files."""
    registry.task(
        "series",
        "nas_plugins.sequence_tasks.series:series",
        suffixes=(".npz",),
        claims="nas_plugins.sequence_tasks.series:claims",
        summary="time series in a file with X (n, channels, T), y and is_train",
    )
    registry.task(
        "spoken",
        "nas_plugins.sequence_tasks.spoken:spoken",
        suffixes=(".npz",),
        claims="nas_plugins.sequence_tasks.spoken:claims",
        summary="spoken digits in a file with audio, offset, digit, speaker, index and rate",
    )
