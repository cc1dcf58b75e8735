"""Writing a small graph down in an order that its structure alone decides, where colours leave some terms alike.

Every term gets a colour: a number of its block and what it reads, refined in both directions; the ties that are left
are searched (McKay & Piperno, Practical graph isomorphism II, 2014). A collision of colours costs time and never
correctness: the certificate is a hash of the graph as written, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from nas.space.flat import Value
from nas.space.program import Row

PRIME = (1 << 61) - 1
ODD = 0x9E3779B97F4A7C15


def certificate(rows: Sequence[Row], k: int, output: Value) -> bytes:
    """16 bytes, equal exactly for isomorphic graphs; inputs 0..k-1 keep their numbers, the terms after them do not.

    There must be no calls in the rows.
    """
    graph = _Graph(rows, k, output)
    return blake2b(graph.search(graph.upward()), digest_size=16).digest()


def _mix(said: int, code: int = ODD) -> int:
    """A number below `PRIME` that is no sum of what goes into it; Python's own hash may differ between versions."""
    return said * (said + code) % PRIME


class _Graph:
    """The terms with their codes as numbers, and who reads whom."""

    def __init__(self, rows: Sequence[Row], k: int, output: Value) -> None:
        self.rows, self.k, self.output = rows, k, output
        self.codes = [code >> 64 for code, _, _ in rows]
        self.inputs = [_mix(i + 1) for i in range(k)]
        self.users: list[list[tuple[int, int, int]]] = [[] for _ in range(k + len(rows))]
        """Who reads each term, on which port, and that port as a colour sees it: 0 where ports have no order."""
        for i, (_, ports, symmetric) in enumerate(rows, k):
            for p, port in enumerate(ports, 1):
                for j in port:
                    self.users[j].append((i, p, 0 if symmetric else p))

    def upward(self) -> list[int]:
        """Colours from the inputs on: equal for equal expressions."""
        colours = list(self.inputs)
        for code, (_, ports, symmetric) in zip(self.codes, self.rows, strict=True):
            colours.append(_mix(self._read(colours, ports, symmetric), code))
        return colours

    def _read(self, colours: list[int], ports: tuple[Value, ...], symmetric: bool) -> int:
        said = len(ports)
        for port in ports:
            value = colours[port[0]] if len(port) == 1 else _mix(len(port) + sum([colours[j] for j in port]))
            said = said + value * value if symmetric else said * ODD + value
        return said

    def refine(self, colours: list[int]) -> list[int]:
        """The coarsest equitable colouring finer than `colours`."""
        classes = len(set(colours))
        while True:
            new = colours[: self.k]
            for i, (_, ports, symmetric) in enumerate(self.rows, self.k):
                said = colours[i] * ODD + self._read(colours, ports, symmetric)
                for user, _, port in self.users[i]:
                    said += _mix(colours[user] + port)
                new.append(_mix(said + self.output.count(i)))
            colours = new
            if (count := len(set(colours))) == classes:
                return colours
            classes = count

    def written(self, colours: list[int]) -> bytes:
        """The graph in words, its terms in the order of their colours, which must all differ.

        First how many terms, then their codes, then what they read: one number, or how many ports and terms of each.
        """
        k, rows = self.k, self.rows
        order = sorted(range(k, len(colours)), key=colours.__getitem__)
        number = [*range(k), *order]
        for n, i in enumerate(order, k):
            number[i] = n
        read: list[int] = []
        for i in order:
            _, ports, symmetric = rows[i - k]
            if len(ports) == 1 and len(ports[0]) == 1:
                read.append(number[ports[0][0]])
                continue
            values = [sorted([number[j] for j in port]) for port in ports]
            read.append(-1 - len(values))
            for value in sorted(values) if symmetric else values:
                read.append(len(value))
                read += value
        read += sorted([number[j] for j in self.output])
        return b"%d:%b%b" % (len(rows), b"".join([rows[i - k][0].to_bytes(16) for i in order]), repr(read).encode())

    def search(self, colours: list[int]) -> bytes:
        """The smallest writing over all ways to break the ties, branches that an automorphism repeats left out."""
        colours = self.refine(colours)
        tie = self._tie(colours)
        if tie is None:
            return self.written(colours)
        if self._twins(tie):
            return self.search(_singled(colours, tie))
        best: bytes | None = None
        seen: set[bytes] = set()
        for member in tie:
            single = _singled(colours, [member])
            greedy = self._greedy(single)
            if greedy not in seen:
                seen.add(greedy)
                found = self.search(single)
                best = found if best is None else min(best, found)
        assert best is not None
        return best

    def _greedy(self, colours: list[int]) -> bytes:
        """One leaf of the search below `colours`; two branches with equal leaves are images of each other."""
        colours = self.refine(colours)
        while (tie := self._tie(colours)) is not None:
            colours = self.refine(_singled(colours, tie if self._twins(tie) else tie[:1]))
        return self.written(colours)

    def _tie(self, colours: list[int]) -> list[int] | None:
        places: dict[int, list[int]] = {}
        for i, colour in enumerate(colours):
            places.setdefault(colour, []).append(i)
        tied = [(len(where), colour) for colour, where in places.items() if len(where) > 1]
        return places[min(tied)[1]] if tied else None

    def _twins(self, tie: list[int]) -> bool:
        """Whether the tied terms read the same and are read on the same ports: any order is as good as another."""
        first, *others = ((self._reads(i), sorted(self.users[i])) for i in tie)
        return all(other == first for other in others)

    def _reads(self, i: int) -> list[Value]:
        _, ports, symmetric = self.rows[i - self.k]
        return sorted(ports) if symmetric else list(ports)


def _singled(colours: list[int], members: list[int]) -> list[int]:
    """The members each in a class of its own, in their order."""
    new = list(colours)
    for n, member in enumerate(members, 1):
        new[member] = _mix(new[member] + n)
    return new
