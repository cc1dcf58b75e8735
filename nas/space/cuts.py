"""Where a graph may be cut: at the values through which everything after them passes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from nas.space.flat import Value
from nas.space.program import Program, Row


class Plan(NamedTuple):
    """The parts of a digest, each a block's code or rows that remain to be hashed with what they call.

    closed: whether the parts are the same wherever the graph stands: it has one input, which it reads, no term that
        reads only zeros, and its output is no multiple.
    """

    parts: list[bytes | Program]
    closed: bool


def plan(whole: Program) -> Plan:
    """The segments between the cut values; a graph of several inputs, or with constants, is not cut."""
    rows, output = whole.rows, whole.output
    if whole.k != 1 or not _reads_input(rows, output) or _has_constant(rows):
        return Plan([whole], closed=False)
    return Plan(_segments(whole), closed=output == _primitive(output))


def _reads_input(rows: Sequence[Row], output: Value) -> bool:
    return 0 in output or any(0 in port for _, ports, _ in rows for port in ports)


def _has_constant(rows: Sequence[Row]) -> bool:
    """Whether some term reads nothing but zeros; it may be read anywhere, so such a graph is not cut."""
    return not all(any(ports) for _, ports, _ in rows)


def _segments(whole: Program) -> list[bytes | Program]:
    """The segments of a graph of one input between its cut values."""
    rows, output = whole.rows, whole.output
    cuts = _cuts(whole)
    if not cuts:
        return [] if output == (0,) else [_hashable(whole)]
    parts: list[bytes | Program] = []
    entry: Value = (0,)
    done: set[int] = {0}
    for value in [*cuts, output]:
        upstream = set(range(len(rows) + 1)) if value is output else done | _ancestors(rows, value)
        if value != entry:
            parts.append(_segment(whole, sorted(upstream - done), entry, value))
        entry, done = value, upstream
    return parts


def _ancestors(rows: Sequence[Row], value: Value) -> set[int]:
    """The terms of a value and all that they see."""
    found = set(value)
    for i in range(value[-1], 0, -1):
        if i in found:
            for port in rows[i - 1][1]:
                found.update(port)
    return found


def _cuts(whole: Program) -> list[Value]:
    """All cut values, from the input on.

    A cut value is one through which everything after it passes: whatever reads one of its ancestors reads the whole
    value, in whole multiples; of a value and its multiples only the smallest counts, so that there is one way to cut.
    All terms before it in any order are its ancestors, and those of them that are read later are the terms in it, so
    that the next term in the order reads it whole or it is none.
    """
    output = whole.output
    readers = [*(ports for _, ports, _ in whole.rows), (output,)]
    gone = [0] * len(readers)
    for i in whole.last:
        gone[i] += 1
    found: list[Value] = []
    live = 1
    for place, ports in enumerate(readers):
        first = next(filter(None, ports))
        if len(first) >= live == len(set(first)):
            value = _primitive(first)
            if value not in ((0,), output) and _is_cut(value, readers[place:], place):
                found.append(value)
        live += 1 - gone[place]
    return found


def _is_cut(value: Value, readers: Sequence[tuple[Value, ...]], place: int) -> bool:
    for ports in readers:
        for port in ports:
            if port and port[0] <= place:
                inside = port if port[-1] <= place else tuple([j for j in port if j <= place])
                if inside != value and not _is_multiple(inside, value):
                    return False
    return True


def _primitive(value: Value) -> Value:
    """The value of which `value` is a whole multiple and which is no multiple itself."""
    return value if len(set(value)) == len(value) else value[:: math.gcd(*Counter(value).values())]


def _is_multiple(port: Value, value: Value) -> bool:
    times, rest = divmod(len(port), len(value))
    return not rest and port == tuple([j for j in value for _ in range(times)])


def _segment(whole: Program, members: Sequence[int], entry: Value, value: Value) -> bytes | Program:
    rows = whole.rows
    number = {j: n for n, j in enumerate(members, 1)}

    def inside(port: Value) -> Value:
        if len(port) == 1:
            return (number.get(port[0], 0),)
        kept = [number[j] for j in port if j in number]
        copies = (len(port) - len(kept)) // len(entry)
        return (0,) * copies + tuple(kept)

    cut = [
        (code, tuple([inside(port) for port in ports]), free) for code, ports, free in (rows[j - 1] for j in members)
    ]
    return _hashable(Program(1, cut, inside(value)))


def _hashable(segment: Program) -> bytes | Program:
    """A block that reads all that comes in is its code."""
    if len(segment.rows) == 1:
        code, ports, _ = segment.rows[0]
        if code >= 0 and ports == ((0,),) and segment.output == (1,):
            return code.to_bytes(16)
    return segment
