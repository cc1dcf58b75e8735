"""Searches that people would start, as subprocesses where a process matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str) -> list[str]:
    """The command line of this interpreter's `nas`."""
    return [sys.executable, "-m", "nas.cli.main", *arguments]


@pytest.fixture
def nas_command(tmp_path: Path) -> Command:
    """Runs `nas` in a folder of its own; a failure shows what it printed."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=280, env=os.environ.copy()
        )
        assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def shown(nas_command: Command, run: Path | str) -> dict[str, Any]:
    """What `nas show --json` says."""
    return dict(json.loads(nas_command("show", str(run), "--json").stdout))


def states(record: dict[str, Any]) -> Sequence[str]:
    """The states of all trials."""
    return [trial["state"] for trial in record["trials"]]
