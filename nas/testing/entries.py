"""What everything registered must be, whatever its kind."""

from __future__ import annotations

import re

from nas.testing.case import Case


def check_target_loads(case: Case) -> None:
    """The target can be imported and called."""
    assert callable(case.entry.load()), f"{case}: its target {case.entry.target!r} cannot be called"


def check_has_a_summary(case: Case) -> None:
    """One line says what it is: the summary given, or the first line of the target's docstring."""
    assert case.entry.summary.strip(), f"{case}: has no summary; give one or write a docstring"
    assert "\n" not in case.entry.summary, f"{case}: its summary has more than one line"


def check_name_can_be_typed(case: Case) -> None:
    """The name is a word of letters, digits, '_' and '-', so that it works on a command line and in a file."""
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", case.entry.name), f"{case}: {case.entry.name!r} is no plain word"


CHECKS = (check_target_loads, check_has_a_summary, check_name_can_be_typed)


def check_objective_names_a_metric(case: Case) -> None:
    """It names a metric and which way is better."""
    details = case.entry.details
    assert details["metric"], f"{case}: names no metric"
    assert details["direction"] in ("maximize", "minimize"), f"{case}: direction {details['direction']!r}"


OBJECTIVE_CHECKS = (check_objective_names_a_metric,)
