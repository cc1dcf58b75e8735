"""What every table must be: rows for most of its space, numbers that a search can use, and a best that is one."""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any

from nas.controller.simulate import regrets, simulate
from nas.controller.table import Row, Table
from nas.errors import CandidateError
from nas.space.architecture import Architecture
from nas.space.space import Space
from nas.testing.case import Case
from nas.testing.elsewhere import same_elsewhere

SAMPLES = 40
TRIALS = 30


def check_most_samples_have_a_row(case: Case) -> None:
    """Strategies sample and mutate: if most of what they propose were refused, nothing could be compared."""
    table, rng = _table(case), random.Random(0)
    for what in ("samples", "mutations"):
        made = [_drawn(table.space, rng, what) for _ in range(SAMPLES)]
        known = sum(_row(table, one) is not None for one in made)
        assert known > SAMPLES / 2, f"{case}: only {known} of {SAMPLES} {what} have a row"


def check_rows_have_what_a_search_needs(case: Case) -> None:
    """A curve, positive seconds, every objective in the last epoch or the costs, and the judge's metric."""
    table = _table(case)
    assert table.objectives, f"{case}: has no objectives"
    for row in _rows(case):
        assert row.curve, f"{case}: a row without a curve"
        assert math.isfinite(row.seconds), f"{case}: a row of {row.seconds} seconds"
        assert row.seconds > 0, f"{case}: a row of {row.seconds} seconds"
        for objective in table.objectives:
            known = row.curve[-1].keys() | row.costs.keys()
            assert objective.metric in known, f"{case}: objective {objective.metric!r} is not in {sorted(known)}"
        if table.judge is not None:
            assert table.judge.metric in row.known, f"{case}: judge {table.judge.metric!r} is not in a row"


def check_searches_see_no_more_than_they_may(case: Case) -> None:
    """What only the judge may see is in no epoch and among no costs, unless it is what is optimised."""
    table = _table(case)
    optimised = {objective.metric for objective in table.objectives}
    for row in _rows(case):
        seen = {name for epoch in row.curve for name in epoch} | row.costs.keys()
        leaked = seen & (row.judged.keys() - optimised)
        assert not leaked, f"{case}: a search sees {sorted(leaked)}, which only the judge may"


def check_nothing_is_better_than_the_best(case: Case) -> None:
    """With one objective no row is judged better than `best`; with several, `reference` is no better than any row."""
    table = _table(case)
    assert math.isfinite(table.best), f"{case}: its best is {table.best}"
    assert len(table.reference) == (0 if table.judge is not None else len(table.objectives)), f"{case}: its reference"
    for row in _rows(case):
        if table.judge is not None:
            value = row.known[table.judge.metric]
            better = table.judge.sign * (value - table.best)
            assert not better > 1e-9, f"{case}: a row is judged {value}, better than the best, {table.best}"
            continue
        for objective, bound in zip(table.objectives, table.reference, strict=True):
            short = objective.sign * (bound - row.known[objective.metric])
            assert short <= 1e-2 * abs(bound), f"{case}: a row is worse than the reference in {objective.name}"


def check_its_scores_are_those_it_names(case: Case) -> None:
    """Rows have zero-cost scores under the names in `proxies`, and seconds for each."""
    names = set(_table(case).proxies)
    for row in _rows(case):
        assert row.scores.keys() <= names, f"{case}: scores {sorted(row.scores.keys() - names)} are not in proxies"
        assert row.scores.keys() <= row.score_seconds.keys(), f"{case}: scores without the seconds they took"


def check_rows_are_the_same_elsewhere(case: Case) -> None:
    """Another process reads the same rows: what is simulated must not hang on where."""
    same_elsewhere(said, case)


def check_a_search_can_be_simulated(case: Case) -> None:
    """A search of samples, two at a time, finds something, and nothing better than the best."""
    table = _table(case)
    found = simulate(table, ("sampling", _Sampling()), trials=TRIALS, seed=0, workers=2)
    assert found.trained, f"{case}: nothing was trained: {found.reason}"
    missing = [value for value in regrets(found) if not math.isnan(value)]
    assert missing, f"{case}: no trial has finite values"
    assert min(missing) >= -1e-6 * max(1.0, abs(table.best)), f"{case}: better than the best by {-min(missing)}"


def said(case: Case) -> list[str]:
    """A few rows as text."""
    return [repr(row) for row in _rows(case)[:5]]


class _Sampling:
    def propose(self, history: Any, rng: random.Random) -> Architecture:
        made: Architecture = history.space.sample(rng)
        return made


def _drawn(space: Space, rng: random.Random, what: str) -> Architecture:
    made = space.sample(rng)
    return space.mutate(made, rng) if what == "mutations" else made


def _row(table: Table, architecture: Architecture) -> Row | None:
    try:
        return table.row(architecture)
    except CandidateError:
        return None


def _rows(case: Case) -> list[Row]:
    table, rng = _table(case), random.Random(1)
    found = (_row(table, table.space.sample(rng)) for _ in range(SAMPLES))
    return [row for row in found if row is not None]


@cache
def _table(case: Case) -> Table:
    """One for all checks: some take a second to read."""
    made: Table = case.make()
    return made


CHECKS = (
    check_most_samples_have_a_row,
    check_rows_have_what_a_search_needs,
    check_searches_see_no_more_than_they_may,
    check_nothing_is_better_than_the_best,
    check_its_scores_are_those_it_names,
    check_rows_are_the_same_elsewhere,
    check_a_search_can_be_simulated,
)
