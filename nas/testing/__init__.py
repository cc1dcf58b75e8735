"""The conformance kit: every property that a registered thing must have, as plain functions, for plugins' own tests.

In the tests of a plugin, one test runs every check over everything the plugin registers::

    from nas.testing import parametrize_with_checks

    @parametrize_with_checks(plugin="myspace.py")        # a file, or the name of an installed plugin
    def test_contract(check, case):
        check(case)

Without pytest, `check_plugin("myspace.py")` does the same and raises AssertionError with all that is wrong. The checks
of one kind, for options or a task of your own::

    from nas.testing import IMAGE, Case, checks

    for check in checks("space"):
        check(Case("space", "mine:cells=2", task=IMAGE))

A check takes a `Case` (kind, ``name:option=value`` and, for a space, a task); it raises AssertionError, or what the
thing itself raises. Nothing here loads torch until a check needs it.
"""

from __future__ import annotations

from nas.testing.case import IMAGE, TASKS, Case, cases
from nas.testing.kit import Check, check_plugin, checks, parametrize_with_checks

__all__ = ["IMAGE", "TASKS", "Case", "Check", "cases", "check_plugin", "checks", "parametrize_with_checks"]
