"""A hash of a simplified graph that names, order and nesting do not change, mostly in one pass over its rows.

Every term gets a *colour*, a number of 128 bits made of its block's code and the colours of what it reads, so that
the output's colour says all that feeds it (Merkle, 1987). Terms that compute the same, as two equal convolutions of one
value, share a colour, which leaves open whether two blocks read one of them or each its own. These *twins* get colours
that also take in who reads them and, where that leaves two alike, what these read. Those alike even then either read
the same and feed the same, so that any order is as good as another, or are left to `canonical`, which takes its time.

What is hashed is said in C, too (`_fingerprint.c`), ten times as fast, where a compiler was there at installation.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from types import ModuleType

from nas.space.canonical import certificate
from nas.space.flat import Value
from nas.space.program import Program, opened

MASK = (1 << 128) - 1
ODD, OUT = (int.from_bytes(blake2b(word, digest_size=16).digest()) | 1 for word in (b"odd", b"out"))

KEYS = [1]
"""A number for each port of an ordered block, by which its value is taken."""


def _keys(ports: int) -> list[int]:
    """As many keys or more."""
    while len(KEYS) < ports:
        KEYS.append(int.from_bytes(blake2b(b"port %d" % len(KEYS), digest_size=16).digest()) | 1)
    return KEYS


def fingerprint(graph: Program, calls: Sequence[Program]) -> bytes:
    """16 bytes, equal for isomorphic graphs and, but for a collision of 128 bits, only for them.

    Inputs keep their numbers, the terms after them do not. `calls` are what the rows call; a call is as good as the
    rows it stands for.
    """
    said = kernel.said(graph, calls) if kernel else None
    if said is None:
        flat = opened(graph, calls) if calls else graph
        said = _said(flat)
        if said is None:
            return certificate(flat.rows, flat.k, flat.output)
    return blake2b(said, digest_size=16).digest()


def _said(graph: Program) -> bytes | None:
    """What is hashed of a graph without calls; None where some of its terms stay alike that differ."""
    colours = [_mixed(i, OUT) for i in range(graph.k)]
    for code, ports, free in graph.rows:
        colours.append(_mixed(_read(colours, ports, free), code))
    terms = colours[graph.k :]
    told = _Twins(graph, colours).told() if len(set(terms)) < len(terms) else 0
    return None if told is None else b"%d:%x:%x" % (len(terms), _value(colours, graph.output), told)


def _mixed(said: int, code: int) -> int:
    return ((said ^ code) * (said + ODD) >> 64) & MASK


def _value(colours: Sequence[int], port: Value) -> int:
    return colours[port[0]] if len(port) == 1 else sum([colours[j] for j in port])


def _read(colours: Sequence[int], ports: tuple[Value, ...], free: bool) -> int:
    """What the ports bring, in their order or without one; one port brings its value."""
    if len(ports) == 1:
        return _value(colours, ports[0])
    if free:
        return len(ports) + sum([_mixed(_value(colours, port), OUT) for port in ports])
    said = len(ports) - 1
    for port, key in zip(ports, _keys(len(ports)), strict=False):
        said += _value(colours, port) * key
    return said


class _Twins:
    """The terms whose colours occur more than once, and names that tell them apart; those of others are their colours.

    The graph has no calls.
    """

    def __init__(self, graph: Program, colours: Sequence[int]) -> None:
        self.graph, self.colours = graph, colours
        self.names = list(colours)

    def told(self) -> int | None:
        """The sum of their names; None where some stay alike that differ."""
        found = self._named_by_readers()
        if found is not None and len(set(found)) < len(found):
            found = self._named_by_reads(found)
            if len(set(found)) < len(found) and self._differ():
                return None
        return None if found is None else sum(found)

    def _named_by_readers(self) -> list[int] | None:
        """Names of colours and readers, from the last term back; None where it is open on which port a term is read."""
        colours, k = self.colours, self.graph.k
        times = Counter(colours[k:])
        found: list[int] = []
        for t in range(len(colours) - 1, k - 1, -1):
            if times[colours[t]] > 1:
                more = self._readers(t)
                if more is None:
                    return None
                self.names[t] = said = _mixed(colours[t] + more, OUT)
                found.append(said)
        return found

    def _readers(self, t: int) -> int | None:
        """What a name takes from those who read term `t`.

        None where two ports without an order have one colour and one is a sum: it is open which term is in which.
        """
        graph, names = self.graph, self.names
        more = graph.output.count(t) * OUT
        for reader, port in graph.readers[t]:
            _, ports, free = graph.rows[reader - graph.k]
            if free:
                values = [_value(self.colours, other) for other in ports]
                if len(set(values)) < len(values) and any(len(other) > 1 for other in ports):
                    return None
                more += _mixed(names[reader] + values[port], OUT)
            else:
                more += names[reader] * KEYS[port]
        return more

    def _named_by_reads(self, found: list[int]) -> list[int]:
        """The names, where two are alike those of what they read in them, from the first term on."""
        graph, names = self.graph, self.names
        alike = {name for name, times in Counter(found).items() if times > 1}
        new = [name for name in found if name not in alike]
        for t, (_, ports, free) in enumerate(graph.rows, graph.k):
            if names[t] in alike:
                names[t] = _mixed(names[t] + _read(names, ports, free), ODD)
                new.append(names[t])
        return new

    def _differ(self) -> bool:
        """Whether terms that share a name read or feed different terms."""
        graph = self.graph
        first: dict[int, object] = {}
        for t, (_, ports, free) in enumerate(graph.rows, graph.k):
            place = (sorted(ports) if free else list(ports), sorted(graph.readers[t]), graph.output.count(t))
            if first.setdefault(self.names[t], place) != place:
                return True
        return False


def _trusted(compiled: ModuleType) -> ModuleType | None:
    """The compiled module, unless it says of a sample what this file does not: it may be of another version."""
    body = Program(2, [(3, ((0,),), False), (3, ((0,),), False), (5, ((1, 2), (3,)), False)], (4,))
    rows = [(3, ((0,),), False), (3, ((0,),), False), (-1, ((1,), (2,)), False), (-2, ((1, 2), (3,)), False)]
    sample, calls = Program(1, rows, (3, 4)), [body, body]  # type: ignore[arg-type]
    with suppress(AttributeError, TypeError, ValueError):
        compiled.prepare(ODD, OUT, _keys(compiled.KEYS))
        if compiled.said(sample, calls) == _said(opened(sample, calls)):
            return compiled
    warnings.warn(
        f"{compiled.__file__} is of another version of graphnas; install that again, until then digests take longer",
        stacklevel=2,
    )
    return None


try:
    from nas.space import _fingerprint

    kernel = _trusted(_fingerprint)
except ImportError:
    kernel = None
