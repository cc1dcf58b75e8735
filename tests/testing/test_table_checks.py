"""The checks of tables: each finds the promise that a broken table breaks, and a good one passes all."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.testing import Case, cases, check_plugin, checks

BROKEN = Path(__file__).with_name("broken_tables.py")
DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"


@pytest.mark.parametrize("case", cases(plugin=BROKEN), ids=str)
def test_the_broken_promise_is_found(case: Case) -> None:
    (check,) = [check for check in checks("table") if check.__name__ == f"check_{case.spec}"]
    with pytest.raises(AssertionError, match=f"table {case.spec}"):
        check(case)


def test_every_check_of_tables_has_something_broken_that_it_finds() -> None:
    broken = {f"check_{case.spec}" for case in cases(plugin=BROKEN)}
    every = {check.__name__ for check in checks("table")} - {check.__name__ for check in checks("report")}
    assert every == broken


def test_the_table_of_the_docs_passes(tmp_path: Path) -> None:
    code = next(part for part in DOCS.read_text().split("```python\n")[1:] if "registry.table" in part)
    (tmp_path / "mine.py").write_text(code.partition("```")[0])
    check_plugin(tmp_path / "mine.py")
