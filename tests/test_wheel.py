"""The wheel holds everything, and a search runs from it in an environment without this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nas.space import fingerprint

ROOT = Path(__file__).parents[1]
PACKAGES = {"nas": "nas", "nas_plugins": "plugins", "nas_search_spaces": "search_spaces"}


def project() -> Mapping[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(*command: object, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**clean, **(env or {})}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_folder_is_packaged() -> None:
    listed = set(project()["tool"]["setuptools"]["packages"])
    there = set()
    for package, folder in PACKAGES.items():
        for file in (ROOT / folder).rglob("__init__.py"):
            there.add(".".join([package, *file.parent.relative_to(ROOT / folder).parts]))
    assert listed == there


def test_every_plugin_and_space_has_an_entry_point() -> None:
    points = {target.partition(":")[0] for target in project()["project"]["entry-points"]["nas"].values()}
    folders = {f"nas_plugins.{file.parent.name}" for file in (ROOT / "plugins").glob("*/__init__.py")}
    files = {f"nas_search_spaces.{file.stem}" for file in (ROOT / "search_spaces").glob("[a-z]*.py")}
    assert points == folders | files


def test_every_dependency_has_a_tested_version() -> None:
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert all(re.fullmatch(r"[\d.]+(post\d+)?", version) for version in tested.values()), "no local or odd versions"
    wanted = [*project()["project"]["dependencies"]]
    for extra in project()["project"]["optional-dependencies"].values():
        wanted += extra
    for text in wanted:
        name = re.split(r"[\[<>=!~; ]", text)[0].lower().replace("_", "-")
        assert name == "graphnas" or name in tested, f"{name} has no version in constraints.txt"


def built(tree: Path, **env: str) -> Path:
    for name in ("nas", "plugins", "search_spaces"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tree / "dist", cwd=tree, env=env)
    (made,) = (tree / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; its dependencies are those of this one, which it sees without our checkout.

    A path in a .pth file is searched, but .pth files in it, such as that of an editable install, are not read.
    """
    home = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", "--without-pip", home / "env", cwd=home)
    python = home / "env" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", code, cwd=home).strip())
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(here)) + "\n")
    return home


@pytest.mark.slow
def test_the_wheel_holds_all_files(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for package, folder in PACKAGES.items():
        for file in (ROOT / folder).rglob("*"):
            if file.suffix == ".py" or file.name == "py.typed":
                assert f"{package}/{file.relative_to(ROOT / folder)}" in inside
    assert any(re.fullmatch(r"graphnas-[\w.]+\.dist-info/licenses/LICENSE", name) for name in inside)
    assert {name.split("/")[0].split("-")[0] for name in inside} == {*PACKAGES, "graphnas"}


@pytest.mark.slow
def test_a_wheel_has_digests_in_c_where_there_is_a_compiler(wheel: Path, tmp_path: Path) -> None:
    without = built(tmp_path, CC=str(tmp_path / "no_compiler"))
    inside, rest = (set(zipfile.ZipFile(made).namelist()) for made in (wheel, without))
    assert "nas/space/fingerprint.py" in rest
    assert not [name for name in rest if name.endswith((".so", ".pyd"))]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert inside - rest == ({f"nas/space/_fingerprint{suffix}"} if fingerprint.kernel else set())


@pytest.mark.slow
def test_plugins_are_found_where_the_wheel_is(elsewhere: Path) -> None:
    code = (
        "import nas, nas_plugins, nas_search_spaces\n"
        "manager = nas.create_manager()\n"
        "assert not manager.failures, manager.failures\n"
        "print(len(manager.registry.all('space')))\n"
        "print(nas.__file__, nas_plugins.__file__, nas_search_spaces.__file__)\n"
    )
    count, files = run(elsewhere / "env" / "bin" / "python", "-c", code, cwd=elsewhere).splitlines()
    assert int(count) >= 2
    assert all(file.startswith(str(elsewhere)) for file in files.split())


@pytest.mark.slow
def test_a_search_runs_from_the_wheel(elsewhere: Path, tmp_path: Path) -> None:
    words = ("search", "--runner", "local", "--trials", 2, "--epochs", 1, "--out", "run")
    run(elsewhere / "env" / "bin" / "nas", *words, cwd=tmp_path)
    best = tmp_path / "run" / "best"
    assert {file.name for file in best.iterdir()} >= {"model.py", "weights.safetensors", "architecture.json"}
