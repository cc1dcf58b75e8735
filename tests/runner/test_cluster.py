"""Searches on a cluster of three nodes, all on this machine: Ray's own means of testing clusters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from nas.controller.ledger import FILE

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, Any]]:
    command = [sys.executable, str(HERE / "three_nodes.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def drive(address: str, *searches: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What came of some searches, one after the other, by a process that works in `folder`."""
    run = subprocess.run(
        [sys.executable, str(HERE / "drive_at.py"), address],
        input="\n".join(map(json.dumps, searches)),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_what_a_cluster_cannot_do_is_said_before_any_trial(nodes: dict[str, Any], tmp_path: Path) -> None:
    other = tmp_path / "other" / "graphnas-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: graphnas\nVersion: 9.9\n")
    paths = os.pathsep.join([str(other.parent), str(HERE)])
    asked: list[dict[str, Any]] = [
        {"resources": {"concurrency": 9}},
        {"resources": {"gpus_per_trial": 1}},
        {"files": ["/nowhere/mine.npz"]},
        {"resources": {"runtime_env": {"env_vars": {"PYTHONPATH": paths}}}},
        {"resources": {"runtime_env": {"env_vars": {"OMP_NUM_THREADS": "7"}}}},
        {"resources": {"runtime_env": {"working_dri": "."}}},
    ]
    searches = [{"run": str(tmp_path / str(n)), **one} for n, one in enumerate(asked)]
    searches.append({"run": "/proc/self/cwd/run"})  # another folder in every process, as a local disk is on every node
    said = drive(nodes["address"], *searches, folder=tmp_path)
    expected = [
        "expected resources for 9 trials at a time with 1 CPUs and 0 GPUs each, got 3 CPUs and 0 GPUs; ask for less",
        "expected resources for 1 trials at a time with 1 CPUs and 1 GPUs each, got 3 CPUs and 0 GPUs; ask for less",
        "has no file /nowhere/mine.npz; put it where all nodes see it under this path, or below the working_dir",
        "expected graphnas 0.1.0, as in this process, got 9.9; install the same version in the cluster's image",
        "expected OMP_NUM_THREADS to be '1', which follows from the resources of a trial, got '7'; leave it out",
        "unknown option of a runtime environment 'working_dri'; did you mean 'working_dir'?",
        "cannot keep checkpoints in /proc/self/cwd/run (it sees another place under that name), so they would be lost",
    ]
    for answer, text in zip(said, expected, strict=True):
        assert text in answer["error"]
        assert answer["trials"] == 0


PLUGIN = """
from nas import chain, choice, hookimpl

def two(b, task):
    return chain(stem=b.conv(channels=4, kernel=choice("kernel", 1, 3)), head=b.classifier(classes=task.classes))

@hookimpl
def nas_register(registry):
    registry.space("two", two)
"""


def test_a_search_from_outside_of_the_cluster_keeps_its_ledger_here(nodes: dict[str, Any], tmp_path: Path) -> None:
    """Ray Client; the plugin and the data are sent along, and the user's environment variables hold."""
    plugin, data = tmp_path / "two.py", tmp_path / "data" / "mine.npz"
    plugin.write_text(PLUGIN)
    data.parent.mkdir()
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 2
    np.savez(data, x_train=x, y_train=y, x_test=x, y_test=y)
    env = tmp_path / "env.json"
    env.write_text(json.dumps({"working_dir": "data"}))
    command = f"-m nas.cli.main search --address {nodes['client']} --runtime-env {env} --plugin {plugin} --space two"
    command += f" --task {data} --trials 2 --epochs 1 --strategy random --no-reference --out {tmp_path}/run"
    run = subprocess.run([sys.executable, *command.split()], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "run" / FILE).is_file()
    assert (tmp_path / "run" / "best" / "model.py").is_file()


def test_a_node_that_dies_loses_nothing(nodes: dict[str, Any], tmp_path: Path) -> None:
    """Last here, for the third node is gone afterwards."""
    run = tmp_path / "run"
    asked = {"run": str(run), "budget": 9, "config": {"epochs": 8, "pause": 0.4}}
    command = [sys.executable, str(HERE / "drive_at.py"), nodes["address"]]
    raylet = psutil.Process(nodes["raylet"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin is not None
        driver.stdin.write(json.dumps(asked))
        driver.stdin.close()
        checkpoints = [run / "checkpoints" / f"{number}.json" for number in range(3)]
        while not all(file.exists() and file.read_text() not in ("", "1") for file in checkpoints):
            assert driver.poll() is None
            time.sleep(0.05)
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()
        assert driver.stdout is not None
        said = json.loads(driver.stdout.read().splitlines()[-1])  # after a line of Ray about the node
    assert said["cause"] == "budget"
    assert [state for state, *_ in said["trials"]] == ["complete"] * 9
    assert [metrics["epoch"] for _, _, metrics in said["trials"]] == [8] * 9
    resumed = [metrics["started_at"] for _, _, metrics in said["trials"] if metrics["started_at"] > 1]
    assert len(resumed) == 1, "one trial ran on that node, and went on elsewhere after its last epoch"
    assert len({metrics["pid"] for _, _, metrics in said["trials"]}) >= 2
