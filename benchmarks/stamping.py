"""The block of `stamps.py`, in a file of its own so that the driver need not load torch for it."""

from __future__ import annotations

import os
import time

import torch
from torch import Tensor, nn


class Stamp(nn.Module):
    """What comes in; says that it is built, but not on the meta device, where candidates are checked."""

    def __init__(self) -> None:
        super().__init__()
        if "STAMPS" in os.environ and not torch.empty(0).is_meta:
            with open(os.environ["STAMPS"], "a") as file:
                file.write(f"training {time.time()}\n")

    def forward(self, x: Tensor) -> Tensor:
        """Shape for shape."""
        return x
