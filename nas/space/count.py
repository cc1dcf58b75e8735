"""The exact number of assignments of the decisions of a space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import prod

from nas.space.expand import Decision, Place

Taken = tuple[tuple[int, int], ...]
"""Decisions taken: number and option, sorted."""


def count_assignments(decisions: Sequence[Decision], first: Sequence[Place]) -> int:
    """How many ways there are to decide everything that is open, starting from the places in `first`.

    Places that share no decision, now or below, multiply; else one decision is taken option by option.
    """

    @cache
    def reach(place: Place) -> frozenset[int]:
        return frozenset({place.number}).union(*(reach(below) for some in place.opens for below in some))

    @cache
    def count(open_: frozenset[Place], taken: Taken) -> int:
        """`taken` holds decisions that may come up again below."""
        known = dict(taken)
        if decided := [place for place in open_ if place.number in known]:
            opened = frozenset(below for place in decided for below in place.opens[known[place.number]])
            return product(open_.difference(decided) | opened, taken)
        if all(not any(place.opens) for place in open_):
            return prod(len(decisions[i].names) for i in {place.number for place in open_})
        i = min(place.number for place in open_ if any(place.opens))
        return sum(product(open_, (*taken, (i, option))) for option in range(len(decisions[i].names)))

    def product(open_: Iterable[Place], taken: Taken) -> int:
        result = 1
        for places, reached in _groups([(frozenset({place}), reach(place)) for place in open_]):
            result *= count(places, tuple(sorted(t for t in taken if t[0] in reached)))
        return result

    return product(first, ())


def _groups(parts: list[tuple[frozenset[Place], frozenset[int]]]) -> list[tuple[frozenset[Place], frozenset[int]]]:
    """Places with the decisions they reach, united where they reach the same."""
    found: list[tuple[frozenset[Place], frozenset[int]]] = []
    for places, reached in parts:
        apart = []
        for others, theirs in found:
            if theirs & reached:
                places, reached = places | others, reached | theirs
            else:
                apart.append((others, theirs))
        found = [*apart, (places, reached)]
    return found
