"""How much memory a trial has: what Linux says, within what control groups allow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.runner.cluster import Cluster
from nas.runner.memory import SHARE, WORKER_BYTES, free_memory, free_of_gpu, part_of
from nas.runner.nodes import gpu_memory, node_memory
from nas.runner.spec import Resources

AVAILABLE = 2_000_000


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """The files of a machine with 2 GB available."""
    written = {
        "proc/meminfo": f"MemTotal: 9000000 kB\nMemFree: 5 kB\nMemAvailable: {AVAILABLE} kB\n",
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def memory_of_this_machine() -> float:
    return 1024.0 * int(Path("/proc/meminfo").read_text().split()[1])


V1 = "9:name=systemd:/\n4:memory:/outer/inner\n"


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("0::/\n", {}, AVAILABLE * 1024),
        ("0::/job\n", {"job/memory.max": "max"}, AVAILABLE * 1024),
        (
            "0::/job/step\n",
            {"job/memory.max": "1000", "job/memory.current": "600", "job/memory.stat": "anon 300\ninactive_file 250\n"},
            1000 - 600 + 250,
        ),
        (
            V1,
            {
                "memory/outer/memory.limit_in_bytes": "5000",
                "memory/outer/memory.usage_in_bytes": "4000",
                "memory/outer/memory.stat": "cache 9\ntotal_inactive_file 100\n",
                "memory/outer/inner/memory.limit_in_bytes": "9223372036854771712",
                "memory/outer/inner/memory.usage_in_bytes": "10",
                "memory/outer/inner/memory.stat": "",
            },
            1100,
        ),
        (
            "4:memory:/not/here\n",  # in a container, whose own group is the top
            {"memory/memory.limit_in_bytes": "50", "memory/memory.usage_in_bytes": "60", "memory/memory.stat": ""},
            0,
        ),
    ],
    ids=["no group", "no limit", "a group around", "version 1", "more used than allowed"],
)
def test_what_is_free_is_within_all_groups(tmp_path: Path, groups: str, files: dict[str, str], free: float) -> None:
    assert free_memory(machine(tmp_path, groups, files)) == free


def test_nothing_is_said_where_linux_is_not(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None


def test_this_machine_has_some() -> None:
    assert 0 < (free_memory() or 0) < memory_of_this_machine()


def test_workers_share_it_and_take_some_themselves() -> None:
    assert part_of(10e9, 4) == SHARE * (2.5e9 - WORKER_BYTES)
    assert part_of(1e8, 4) == 0.0


def test_no_gpu_has_no_memory() -> None:
    if not torch.cuda.is_available():
        assert free_of_gpu() is None


def test_the_nodes_of_a_cluster_are_asked(cluster: Cluster) -> None:
    found = node_memory(cluster.slots, Resources(2))
    assert found is not None
    assert 0 < found < SHARE * memory_of_this_machine() / cluster.slots
    assert node_memory(1, Resources(1, cpus_per_trial=10_000)) is None
    assert torch.cuda.is_available() or gpu_memory(Resources(2)) is None  # says a worker that sees none
