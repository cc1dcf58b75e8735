"""Files that are either the old ones or the new ones, never halves, whenever the power goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` and return when it is durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")  # a worker of a driver that was killed may still be writing, too
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_folder(path.parent)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote; tensors and plain values only, so a foreign file can run no code."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def _sync_folder(folder: Path) -> None:
    """The rename itself is durable only when the folder is; not every system can open one."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
