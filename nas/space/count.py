"""The exact number of assignments of a table of decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from nas.space.expand import Decision


def count_assignments(decisions: Sequence[Decision], first: Sequence[int]) -> int:
    """How many ways there are to decide everything that is open, starting from `first`.

    Only decisions with an option that opens others need a case distinction; independent groups multiply.
    """

    @cache
    def reach(i: int) -> frozenset[int]:
        """What decision `i` may open, itself too; a label may stand below itself, where it is decided already."""
        found, todo = {i}, [i]
        while todo:
            fresh = {kid for kids in decisions[todo.pop()].opens for kid in kids} - found
            found |= fresh
            todo += fresh
        return frozenset(found)

    def groups(open_: frozenset[int]) -> list[frozenset[int]]:
        """`open_` split so that decisions of different groups never open the same one."""
        found: list[tuple[frozenset[int], frozenset[int]]] = []
        for i in sorted(open_):
            members, covered = frozenset({i}), reach(i)
            rest = []
            for group, cover in found:
                if cover & covered:
                    members, covered = members | group, covered | cover
                else:
                    rest.append((group, cover))
            found = [*rest, (members, covered)]
        return [group for group, _ in found]

    @cache
    def count(open_: frozenset[int], decided: frozenset[int]) -> int:
        branching = next((i for i in sorted(open_) if any(decisions[i].opens)), None)
        if branching is None:
            return math.prod(len(decisions[i].names) for i in open_)
        total = 0
        rest, done = open_ - {branching}, decided | {branching}
        for kids in decisions[branching].opens:
            total += product(rest | (frozenset(kids) - done), done)
        return total

    def product(open_: frozenset[int], decided: frozenset[int]) -> int:
        result = 1
        for group in groups(open_):
            below = frozenset[int]().union(*(reach(i) for i in group))
            result *= count(group, decided & below)
        return result

    return product(frozenset(first), frozenset())
