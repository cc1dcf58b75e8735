"""A disk that is full when a checkpoint is written; a limit on the size of files stands for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.api import load_run

SEARCH = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from nas.cli.main import main
sys.argv = ["nas", "search", "--space", "cell_cnn", "--task", "digits", "--trials", "2", "--epochs", "1",
            "--strategy", "random", "--no-cache", "--runner", "local", "--out", sys.argv[1]]
main()
"""


@pytest.mark.slow
def test_a_full_disk_costs_no_trial(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", SEARCH, str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "what was recorded before is safe, resume the search" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert [trial.state for trial in load_run(folder).trials] == ["running"]
    assert not list(folder.glob("checkpoints/*/last.pt"))
    after = nas.resume(folder)
    assert [trial.state for trial in after.trials if trial.state != "refused"] == ["complete"] * 2
