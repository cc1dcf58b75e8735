"""Tables that each break one promise; a name says the check that must fail, what comes after `check_`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from nas.controller.history import Objective
from nas.controller.table import Row, Rows
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar, Registry
from nas.space.graph import chain, choice
from nas.space.space import Space

count = itertools.count()


def _widths(b: Blocks) -> Space:
    conv = b.conv(channels=choice("width", *range(1, 9)))
    return Space(chain(conv=conv, head=b.classifier(classes=2)), inputs=["image"], name="widths")


def _table(change: Callable[[Row, int], Row] = lambda row, width: row, **changed: Any) -> Callable[[Registry], Any]:
    """A table that is in order but for `change` of its rows or what is `changed` of its attributes."""

    def made(registry: Registry) -> Any:
        space = _widths(registry.blocks)
        up, judge = (Objective(name, name, "maximize") for name in ("val", "test"))
        rows = {
            space.architecture({"width": w}).digest: change(
                Row(({"val": w / 8},), 1.0, {"test": w / 9}, scores={"luck": 1.0}, score_seconds={"luck": 1.0}), w
            )
            for w in range(1, 9)
        }
        whole = Rows(space, (up,), {digest: row for digest, row in rows.items() if row.curve != ({},)}, judge)
        names = ("space", "objectives", "judge", "best", "reference", "proxies", "row")
        return SimpleNamespace(**{name: getattr(whole, name) for name in names} | changed)

    return made


def _seconds(row: Row, width: int) -> Row:
    return replace(row, seconds=math.nan)


def _unlike(row: Row, width: int) -> Row:
    return replace(row, seconds=1.0 + next(count) + hash("x") % 1000 / 1000)


def _leak(row: Row, width: int) -> Row:
    return replace(row, curve=({"val": 0.5, "test": 0.5},))


def _few(row: Row, width: int) -> Row:
    return row if width == 1 else replace(row, curve=({},))


def _unnamed(row: Row, width: int) -> Row:
    return replace(row, scores={"chance": 1.0})


def _lost(row: Row, width: int) -> Row:
    return replace(row, curve=({"val": math.nan},))


@hookimpl
def nas_register(registry: Registrar) -> None:
    registry.table("most_samples_have_a_row", _table(_few), summary="one row of eight")
    registry.table("rows_have_what_a_search_needs", _table(_seconds), summary="seconds that are no number")
    registry.table("searches_see_no_more_than_they_may", _table(_leak), summary="the test score in the curve")
    registry.table("nothing_is_better_than_the_best", _table(best=0.5), summary="a best that is none")
    registry.table("its_scores_are_those_it_names", _table(_unnamed), summary="scores that it does not name")
    registry.table("rows_are_the_same_elsewhere", _table(_unlike), summary="other seconds in each process")
    registry.table("a_search_can_be_simulated", _table(_lost), summary="no finite value")
