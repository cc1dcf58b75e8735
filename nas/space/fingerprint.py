"""A hash of a simplified graph that names, order and nesting do not change, mostly in one pass over its rows.

Every term gets a *colour*, a number of 128 bits made of its block's code and the colours of what it reads, so that
the output's colour says all that feeds it (Merkle, 1987). Terms that compute the same, as two equal convolutions of one
value, share a colour, which leaves open whether two blocks read one of them or each its own. These *twins* get colours
that also take in who reads them and, where that leaves two alike, what these read. Those alike even then either read
the same and feed the same, so that any order is as good as another, or are left to `canonical`, which takes its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

from nas.space.canonical import certificate
from nas.space.flat import Value
from nas.space.program import Program, opened

MASK = (1 << 128) - 1
ODD, OUT = (int.from_bytes(blake2b(word, digest_size=16).digest()) | 1 for word in (b"odd", b"out"))

KEYS = [1]
"""A number for each port of an ordered block, by which its value is taken."""


def _keys(ports: int) -> list[int]:
    while len(KEYS) < ports:
        KEYS.append(int.from_bytes(blake2b(b"port %d" % len(KEYS), digest_size=16).digest()) | 1)
    return KEYS


def fingerprint(graph: Program, calls: Sequence[Program]) -> bytes:
    """16 bytes, equal for isomorphic graphs and, but for a collision of 128 bits, only for them.

    Inputs keep their numbers, the terms after them do not. `calls` are what the rows call; a call is as good as the
    rows it stands for.
    """
    k = graph.k
    inner: dict[int, list[int]] = {}
    colours = _colour([_mixed(i, OUT) for i in range(k)], graph, calls, inner)
    terms = [said for t, said in enumerate(colours) if t >= k and t not in inner]
    for t, own in inner.items():
        terms += own[len(graph.rows[t - k][1]) :]
    seen: set[int] = set()
    twice = {said for said in terms if said in seen or seen.add(said)}  # type: ignore[func-returns-value]
    told = _Twins(graph, calls, colours, inner, twice).told() if twice else 0
    if told is None:
        if calls:
            return fingerprint(opened(Program(k, graph.rows, graph.output, calls)), ())
        return certificate(graph.rows, k, graph.output)
    said = _value(colours, graph.output)
    return blake2b(b"%d:%x:%x" % (len(terms), said, told), digest_size=16).digest()


def _colour(colours: list[int], graph: Program, calls: Sequence[Program], inner: dict[int, list[int]]) -> list[int]:
    """Adds the colours of the rows to those of the inputs, and to `inner` those within each call by its number."""
    add = colours.append
    for code, ports, free in graph.rows:
        if code < 0:
            called = calls[-1 - code]
            own = inner[len(colours)] = _colour([_value(colours, port) for port in ports], called, (), {})
            add(own[called.output[0]])
            continue
        if len(ports) == 1:
            said = 0
            for j in ports[0]:
                said += colours[j]
        else:
            said = _read(colours, ports, free)
        add(((said ^ code) * (said + ODD) >> 64) & MASK)
    return colours


def _mixed(said: int, code: int) -> int:
    return ((said ^ code) * (said + ODD) >> 64) & MASK


def _value(colours: Sequence[int], port: Value) -> int:
    return colours[port[0]] if len(port) == 1 else sum([colours[j] for j in port])


def _read(colours: Sequence[int], ports: tuple[Value, ...], free: bool) -> int:
    """What the ports bring, in their order or without one; one port brings its value."""
    if free and len(ports) > 1:
        return len(ports) + sum([_mixed(_value(colours, port), OUT) for port in ports])
    said = len(ports) - 1
    for port, key in zip(ports, _keys(len(ports)), strict=False):
        value = 0
        for j in port:
            value += colours[j]
        said += value * key
    return said


class _Twins:
    """The terms whose colours occur `twice`, and names that tell them apart; those of other terms are their colours."""

    def __init__(
        self,
        graph: Program,
        calls: Sequence[Program],
        colours: Sequence[int],
        inner: dict[int, list[int]],
        twice: set[int],
    ) -> None:
        self.graph, self.calls, self.colours, self.twice = graph, calls, colours, twice
        self.names = list(colours)
        self.within = dict(inner)

    def told(self) -> int | None:
        """The sum of their names.

        None where some stay alike that differ, and where it takes the graph without calls to say so.
        """
        if self.calls and (self.graph.free or any(called.free for called in self.calls)):
            return None
        found = self._named_by_readers()
        if found is not None and len(set(found)) < len(found):
            found = self._named_by_reads(found)
            if len(set(found)) < len(found) and (self.calls or self._differ()):
                return None
        return None if found is None else sum(found)

    def _named_by_readers(self) -> list[int] | None:
        """Names of colours and readers, from the last term back; None where it is open on which port a term is read."""
        graph, calls, colours, names, twice = self.graph, self.calls, self.colours, self.names, self.twice
        found: list[int] = []
        for t in range(len(colours) - 1, graph.k - 1, -1):
            code = graph.rows[t - graph.k][0]
            if code < 0:
                own = self.within[t]
                if twice.isdisjoint(own):
                    continue
                called = calls[-1 - code]
                places = [j for j, said in enumerate(own) if said in twice]
                own = self.within[t] = own.copy()
                readers, out = called.readers, called.output[0]
                for j in reversed(places):
                    if j < called.k:
                        break
                    said = own[j] + (self._readers(t) or 0) if j == out else own[j]
                    for reader, port in readers[j]:
                        said += own[reader] * KEYS[port]
                    own[j] = said = ((said ^ OUT) * (said + ODD) >> 64) & MASK
                    found.append(said)
                names[t] = own[out]
            elif colours[t] in twice:
                more = self._readers(t)
                if more is None:
                    return None
                names[t] = said = _mixed(colours[t] + more, OUT)
                found.append(said)
        return found

    def _readers(self, t: int) -> int | None:
        """What a name takes from those who read term `t`, outside of what is called.

        None where two ports without an order have one colour and one is a sum: it is open which term is in which.
        """
        graph, names = self.graph, self.names
        more = graph.output.count(t) * OUT
        for reader, port in graph.readers[t]:
            code, ports, free = graph.rows[reader - graph.k]
            if code < 0:
                own = self.within[reader]
                for inside, place in self.calls[-1 - code].readers[port]:
                    more += own[inside] * KEYS[place]
            elif free:
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
        for t, (code, ports, free) in enumerate(graph.rows, graph.k):
            if code < 0:
                called, own = self.calls[-1 - code], self.within[t]
                own[: called.k] = [_value(names, port) for port in ports]
                for j, (_, inside, loose) in enumerate(called.rows, called.k):
                    if own[j] in alike:
                        own[j] = _mixed(own[j] + _read(own, inside, loose), ODD)
                        new.append(own[j])
                names[t] = own[called.output[0]]
            elif names[t] in alike:
                names[t] = _mixed(names[t] + _read(names, ports, free), ODD)
                new.append(names[t])
        return new

    def _differ(self) -> bool:
        """Whether terms that share a name read or feed different terms; calls there are none."""
        graph = self.graph
        first: dict[int, object] = {}
        for t, (_, ports, free) in enumerate(graph.rows, graph.k):
            place = (sorted(ports) if free else list(ports), sorted(graph.readers[t]), graph.output.count(t))
            if first.setdefault(self.names[t], place) != place:
                return True
        return False
