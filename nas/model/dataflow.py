"""The order in which a network's values are computed, each sum once, and when each is read for the last time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.model.plan import Plan, Step
from nas.space.flat import Value

Operand = tuple[Value, ...]
"""The variables that are added; a variable is one term ``(i,)`` or a sum that has been stored. Empty means zeros."""

WINDOW = 16


@dataclass(frozen=True, slots=True)
class Statement:
    """One assignment: of a block's output (`step`) or, without one, of a sum that is read more than once.

    `ends` are the variables that nothing reads after it.
    """

    target: Value
    operands: tuple[Operand, ...]
    step: Step | None
    ends: frozenset[Value]


@dataclass(frozen=True, slots=True)
class Program:
    """Straight-line code: the statements, and what is returned."""

    statements: tuple[Statement, ...]
    output: Operand


def program(plan: Plan) -> Program:
    """The plan's steps in their order, with each sum before its first reader."""
    sums = _Sums(plan)
    drafts: list[tuple[Value, tuple[Operand, ...], Step | None]] = []
    for number, step in enumerate(plan.steps, start=len(plan.inputs)):
        for value in step.ports:
            drafts += [(stored, (operand,), None) for stored, operand in sums.due(value)]
        drafts.append(((number,), tuple(map(sums.operand, step.ports)), step))
    drafts += [(stored, (operand,), None) for stored, operand in sums.due(plan.output)]
    output = sums.operand(plan.output)
    last: dict[Value, int] = {}
    for position, (target, operands, _) in enumerate(drafts):
        last.update(dict.fromkeys(read_by(operands), position))
        last.setdefault(target, position)
    last.update(dict.fromkeys(output, len(drafts)))
    ends: dict[int, set[Value]] = {}
    for variable, position in last.items():
        ends.setdefault(position, set()).add(variable)
    return Program(
        tuple(Statement(*draft, frozenset(ends.get(position, ()))) for position, draft in enumerate(drafts)),
        output,
    )


def read_by(operands: Sequence[Operand]) -> set[Value]:
    """The variables that are read; zeros read the first input when nothing else tells the size of the batch."""
    read = {variable for operand in operands for variable in operand}
    return read or {(0,)}


class _Sums:
    """Which sums there are, what each is made from, and which are read more than once and so are stored."""

    def __init__(self, plan: Plan) -> None:
        wanted = [value for step in plan.steps for value in step.ports] + [plan.output]
        uses = Counter(value for value in wanted if len(value) > 1)
        self.parts: dict[Value, Operand] = {}
        for value in list(uses):
            self.parts[value] = parts = _parts(value, list(self.parts)[-WINDOW:])
            uses.update(part for part in parts if len(part) > 1)
        self.stored = {value for value, times in uses.items() if times > 1}
        self.done: set[Value] = set()

    def operand(self, value: Value) -> Operand:
        """The variables whose sum is `value`."""
        return (value,) if len(value) == 1 or value in self.stored else self._spread(value)

    def due(self, value: Value) -> Iterator[tuple[Value, Operand]]:
        """The stored sums that `value` needs and that are not computed yet, in order."""
        for part in self.parts.get(value, ()):
            yield from self.due(part)
        if value in self.stored and value not in self.done:
            self.done.add(value)
            yield value, self._spread(value)

    def _spread(self, value: Value) -> Operand:
        return tuple(variable for part in self.parts.get(value, ()) for variable in self.operand(part))


def _parts(value: Value, earlier: Sequence[Value]) -> Operand:
    """`value` as the largest of the `earlier` sums that it contains, and the terms that are left.

    A residual stream thus adds one term a block instead of all so far.
    """
    held = Counter(value)
    inside = [other for other in earlier if len(other) < len(value) and not Counter(other) - held]
    if not inside:
        return tuple((i,) for i in value)
    largest = max(reversed(inside), key=len)
    rest = held - Counter(largest)
    return (largest, *((i,) for i in sorted(rest.elements())))
