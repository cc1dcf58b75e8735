"""What a trial takes of its GPU."""

from __future__ import annotations

from contextlib import suppress
from statistics import fmean

import torch

CONTEXT_BYTES = 2**29
"""What CUDA itself takes in each process, about."""


class Meter:
    """Measures from when it is made: the largest memory that was reserved, and how busy the GPU was.

    `read` when an epoch has been trained: ``gpu_memory``, the process's part of the GPU's memory, and ``gpu_busy``, the
    part of the time of the last second or less in which the GPU computed, the mean of all readings, where nvidia-ml-py
    is installed (extra `gpu`) and the GPU tells; others on the same GPU count there. Nothing on the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._busy: list[float] = []
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def read(self) -> dict[str, float]:
        """See above."""
        if self._device.type != "cuda":
            return {}
        _, total = torch.cuda.mem_get_info(self._device)
        found = {"gpu_memory": (torch.cuda.max_memory_reserved(self._device) + CONTEXT_BYTES) / total}
        with suppress(Exception):  # there are many reasons for a GPU not to tell, and none is the trial's
            self._busy.append(torch.cuda.utilization(self._device) / 100)
        return found | ({"gpu_busy": fmean(self._busy)} if self._busy else {})
