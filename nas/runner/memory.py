"""How much memory there is for a trial on this machine, within its control groups, or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

WORKER_BYTES = 250e6
"""What a worker process with PyTorch has for itself, apart from libraries that all share."""
SHARE = 0.5
"""What tensors may take of a trial's part of the memory, for a process takes up to twice what its tensors do at their
peak: the C library keeps most of what training freed while evaluation takes its own."""
GPU_SHARE = 0.9
"""The same of a GPU, where the context and the kernels of libraries take some."""

GROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of control groups, version 2 and 1: their controller, and the files of the limit, of what is used, what is cache."""


def part_of(free: float, processes: int) -> float:
    """What tensors may take in each of so many processes that share `free` bytes, before any of them is started."""
    return max(0.0, SHARE * (free / processes - WORKER_BYTES))


def free_memory(root: Path = Path("/")) -> float | None:
    """Bytes that processes of this machine can still get, within their control groups; None where Linux is not."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        (available,) = (1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError):
        return None
    return min([available, *_left_by_groups(root)])


def _left_by_groups(root: Path) -> Iterator[float]:
    """What each control group around this process leaves to it."""
    try:
        said = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return
    for controller, *files in GROUPS:
        top = root / "sys/fs/cgroup" / controller
        for _, controllers, path in said:
            group = top / path.lstrip("/")
            if controller in controllers.split(","):
                around = (folder for folder in (group, *group.parents) if folder.is_relative_to(top))
                yield from (left for folder in around if (left := _left(folder, *files)) is not None)


def _left(folder: Path, limit: str, used: str, cache: str) -> float | None:
    try:
        most, taken = float((folder / limit).read_text()), float((folder / used).read_text())
        stat = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # there is no such group, or its limit is "max"
        return None
    return max(0.0, most - taken + float(stat.get(cache, 0)))


def _gpu() -> Callable[[], float | None]:
    def free_of_gpu() -> float | None:
        # a function in a function, so that Ray sends its code: our package may not be there
        import torch

        return float(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else None

    return free_of_gpu


free_of_gpu = _gpu()
"""Bytes that are free on this process's GPU; None where there is none."""
