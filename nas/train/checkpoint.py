"""Checkpoints that are either the old ones or the new ones, never halves, whenever the power goes."""

from __future__ import annotations

import io
from typing import Any

import torch

from nas.storage import File, write


def save(state: dict[str, Any], file: File) -> None:
    """Write `state` and return when it is durable."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(file, buffer.getbuffer())


def load(file: File, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote; tensors and plain values only, so a foreign file can run no code."""
    state: dict[str, Any] = torch.load(io.BytesIO(file.read_bytes()), map_location=device, weights_only=True)
    return state
