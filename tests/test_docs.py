"""The examples of CONTRIBUTING.md and docs/ work: their Python runs, and plugins in them pass the checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nas import create_manager
from nas.plugin.registry import parse_spec
from nas.testing import check_plugin

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{page.name}:{line}", match[1]))
    return found


@pytest.mark.parametrize(("place", "code"), examples(), ids=[place for place, _ in examples()])
def test_the_example_works(place: str, code: str, tmp_path: Path) -> None:
    if "nas_register" in code:
        file = tmp_path / "example.py"
        file.write_text(code)
        check_plugin(file)
    else:
        exec(compile(code, place, "exec"), {"__name__": "example"})


def test_there_are_examples() -> None:
    assert len(examples()) >= 5


def test_every_path_that_the_pages_name_exists() -> None:
    for page in PAGES:
        for name in re.findall(
            r"`((?:nas|plugins|search_spaces|tests|docs|benchmarks)/[\w/.]+)(?::[^`]*)?`", page.read_text()
        ):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_reading_order_has_every_part_of_the_core() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for folder in (ROOT / "nas").iterdir():
        if (folder / "__init__.py").is_file():
            assert f"nas/{folder.name}/" in text, f"CONTRIBUTING.md's reading order lacks nas/{folder.name}/"


def test_the_page_of_tasks_has_every_task_and_names_spaces_there_are() -> None:
    page, registry = (ROOT / "docs" / "tasks.md").read_text(), create_manager().registry
    assert {entry.name for entry in registry.all("task")} <= set(re.findall(r"`(\w+)", page))
    spaces = re.findall(r"^nas search --space (\S+) --task", page, re.MULTILINE)
    assert len(spaces) == page.count("\nnas search ")
    for spec in spaces:
        registry.get("space", parse_spec(spec)[0])
