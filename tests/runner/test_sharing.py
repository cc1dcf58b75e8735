"""How many trials share a GPU, from measured numbers; on Ray with a GPU that it only believes in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import ConfigError
from nas.runner.sharing import FIRST, Use, idle_text, share, use_text, waste_text
from nas.runner.spec import Resources


@pytest.mark.parametrize(
    ("memory", "busy", "many"),
    [
        (0.02, 0.95, 1),  # it computes nearly all the time
        (0.02, 0.90, 1),
        (0.02, 0.60, 2),
        (0.02, 0.45, 2),
        (0.02, 0.30, 4),
        (0.02, 0.05, 8),
        (0.02, None, 8),  # nobody could tell
        (0.10, 0.10, 8),  # exactly full, with a quarter for larger ones
        (0.11, 0.10, 4),
        (0.25, 0.10, 2),
        (0.41, 0.10, 1),
        (0.99, 0.10, 1),
        (1.20, None, 1),  # a context that is larger than we think
    ],
)
def test_as_many_trials_as_keep_a_gpu_busy_and_fit_its_memory(memory: float, busy: float | None, many: int) -> None:
    assert share([Use(memory, busy)] * FIRST) == 1 / many


def test_the_largest_of_the_first_trials_counts_and_later_ones_do_not() -> None:
    first = [Use(0.05, 0.1), Use(0.30, 0.2), Use(0.05, 0.1)]
    assert [share(first[:many]) for many in range(4)] == [None, None, None, 0.5]
    assert share([*first, Use(0.9, 0.9)]) == 0.5
    assert share([Use(0.05, 0.9), Use(0.05, None), Use(0.05, 0.9)]) == 1 / 8, "part of an answer is none"


def test_resources_without_shares_stay() -> None:
    assert Resources(gpus_per_trial=1).fitted([]) == Resources(gpus_per_trial=1)
    assert Resources(gpus_per_trial=1, shares_gpus=True).fitted([]).gpus_per_trial == 1


def test_concurrency_is_the_most_where_gpus_are_shared() -> None:
    assert Resources(6, gpus_per_trial=1, shares_gpus=True).slots(cpus=16, gpus=2) == 2
    assert Resources(6, gpus_per_trial=0.25, shares_gpus=True).slots(cpus=16, gpus=2) == 6
    assert Resources(gpus_per_trial=0.25, shares_gpus=True).slots(cpus=5, gpus=2) == 5
    with pytest.raises(ConfigError, match="got 16 CPUs and 0 GPUs"):
        Resources(gpus_per_trial=1, shares_gpus=True).slots(cpus=16, gpus=0)


@pytest.mark.parametrize(
    ("there", "used", "expected"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (1, 0.5, ""),  # half of it is not idle
        (1, 0, "1 of 1 GPUs not used: ask for them by --gpus-per-trial"),
        (8, 2, "6 of 8 GPUs not used: allow more trials at a time, or several GPUs for each"),
    ],
)
def test_gpus_that_are_there_and_not_used_are_spoken_of(there: float, used: float, expected: str) -> None:
    assert idle_text(there, used) == expected


def test_what_trials_took_is_said_and_what_was_wasted() -> None:
    found = [Use(0.1, 0.2), Use(0.2, 0.4), Use(0.1, 0.3)]
    assert use_text(found) == "30% busy, 20% of the memory at most in one trial"
    assert "extra 'gpu'" in use_text([Use(0.1)])
    assert use_text([]) == ""
    assert waste_text(found, 1.0).endswith(": --gpus-per-trial 0.25 would have trained 4 at a time on each")
    assert [waste_text(found, asked) for asked in (0.5, 2.0, "auto")] == ["", "", ""]
    assert waste_text([Use(0.1, 0.95)] * 3, 1.0) == ""


@pytest.mark.slow
def test_trials_share_a_gpu_when_the_first_were_measured(tmp_path: Path) -> None:
    drive = Path(__file__).with_name("drive_shared.py")
    done = subprocess.run([sys.executable, str(drive), str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    shared, idle = map(json.loads, done.stdout.splitlines())
    assert shared["states"] == ["complete"] * 12
    assert shared["first"] == 1, "as long as nothing was measured"
    assert shared["most"] == 4
    assert shared["warnings"] == []
    assert "a trial has 0.25 of a GPU now; the first were 30% busy, 10% of the memory at most" in done.stderr
    assert idle["warnings"] == ["1 of 1 GPUs not used: ask for them by --gpus-per-trial"]
    assert idle["warnings"][0] in done.stderr
