"""What the README prints works: its Python runs, its TOML is understood, its plugin loads, its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli.main import main
from nas.config import SearchConfig, read_toml
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.ports import Port, TaskInfo

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_plugin_loads_and_has_the_size_of_its_paper(tmp_path: Path) -> None:
    (code,) = [block for block in blocks("python") if "hookimpl" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "myspace.py").write_text(code)
    manager = create_manager([tmp_path / "myspace.py"])
    assert not manager.failures
    task = TaskInfo("cifar10", (Port("image", (3, 32, 32)),), 10)
    assert build_space(manager.registry, "mine:cells=5", task).size == 15_625


def test_the_options_in_toml_are_understood(tmp_path: Path) -> None:
    (said,) = blocks("toml")
    (tmp_path / "mine.toml").write_text(said)
    options = read_toml(tmp_path / "mine.toml")
    options.pop("out")
    config = SearchConfig.parse(options)
    assert (config.trials, config.time, config.recipe["epochs"]) == (100, 1800, 10)


def test_every_command_it_names_exists() -> None:
    context = main.make_context("nas", [], resilient_parsing=True)
    for name in set(re.findall(r"\bnas ([a-z]+)\b(?= [A-Z`\[-])", TEXT)):
        assert main.get_command(context, name) is not None, name


def test_every_file_it_names_exists() -> None:
    for name in re.findall(r"python (benchmarks/\w+\.py)|\]\(([\w/.]+)\)", TEXT):
        assert (ROOT / (name[0] or name[1])).is_file(), name


@pytest.mark.slow
def test_its_python_runs(tmp_path: Path) -> None:
    (code,) = [block for block in blocks("python") if "nas.search" in block]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.py").is_file()
