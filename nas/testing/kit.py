"""All checks of a kind, as a list, as a pytest mark, or over one plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nas.plugin.registry import EntryKind
from nas.testing import blocks, entries, proxies, spaces, strategies, tables, tasks
from nas.testing.case import Case, cases

if TYPE_CHECKING:
    import pytest

Check = Callable[[Case], None]

_CHECKS: dict[EntryKind, tuple[Check, ...]] = {
    "block": blocks.CHECKS,
    "space": spaces.CHECKS,
    "task": tasks.CHECKS,
    "strategy": strategies.CHECKS,
    "table": tables.CHECKS,
    "objective": entries.OBJECTIVE_CHECKS,
    "proxy": proxies.CHECKS,
}


def checks(kind: EntryKind) -> list[Check]:
    """Every check for a kind: functions of a `Case` that raise AssertionError, or what the thing itself raises."""
    return [*entries.CHECKS, *_CHECKS.get(kind, ())]


def parametrize_with_checks(*kinds: EntryKind, plugin: str | Path | None = None) -> pytest.MarkDecorator:
    """A pytest mark that runs a test of ``(check, case)`` with every check over every registered thing.

    kinds: only these kinds.  plugin: only what this plugin registers, a file or an installed plugin's name.
    A thing with an option that has no default is left out: test it with a `Case` of its own.
    """
    import pytest

    pairs = _pairs(cases(*kinds, plugin=plugin))
    params = [pytest.param(check, case, id=f"{case}-{check.__name__.removeprefix('check_')}") for check, case in pairs]
    return pytest.mark.parametrize(("check", "case"), params)


def check_plugin(path: str | Path) -> None:
    """Every check over everything that a plugin registers; raises AssertionError with all that is wrong.

    path: the plugin's file, or the name of an installed plugin.
    """
    wrong = []
    for check, case in _pairs(cases(plugin=path)):
        try:
            check(case)
        except Exception as error:
            what = str(error) if isinstance(error, AssertionError) else f"{case}: {type(error).__name__}: {error}"
            wrong.append(f"{check.__name__}: {what}")
    assert not wrong, "\n".join([f"plugin {path}: {len(wrong)} checks fail", *wrong])


def _pairs(found: Iterable[Case]) -> list[tuple[Check, Case]]:
    return [(check, case) for case in found if not case.needs() for check in checks(case.kind)]
