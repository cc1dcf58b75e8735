"""The canonical digest: equal for two architectures that are the same function of the same weights to learn.

The graph is simplified (see `flat`), cut into segments at every value through which all of it must pass, and each
segment gets a certificate: Merkle colours from the inputs down; where two blocks share a colour, colour refinement in
both directions and a search over the ties that are left (McKay & Piperno 2014), so that no two different graphs share
a certificate. Cutting makes a cell that is used in fifteen places cost as much as one, and makes digests blind to how
a chain was nested.

Digests are the same in every process and on every machine.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

from nas.space.flat import Flat, Value, flatten
from nas.space.graph import Block, Graph

VERSION = b"nas-digest-1"

_Shape = list[tuple[bytes, tuple[Value, ...], bool]]
"""Terms of a segment: hashed label, values on its ports, whether the ports have no order."""


Part = bytes | int
"""A segment's certificate, or m for the segment that only adds its input to itself, m times."""


def digest(graph: Graph) -> str:
    """32 hexadecimal digits that name the architecture, however its nodes are named, ordered or nested."""
    parts: list[Part] | None = None
    if len(graph.inputs) == 1:
        parts = _chain_parts(graph, {})
    if parts is None:
        flat = flatten(graph)
        parts = _parts(flat) if len(flat.inputs) == 1 else [_whole(flat)]
    head = VERSION + len(graph.inputs).to_bytes(2, "big")
    return blake2b(head + b"".join(_joined(parts)), digest_size=16).hexdigest()


def _joined(parts: list[Part]) -> list[bytes]:
    """Certificates in a row, multiples that follow one another made one."""
    found: list[bytes] = []
    times = 1
    for part in [*parts, b""]:
        if isinstance(part, int):
            times *= part
            continue
        if times > 1:
            found.append(blake2b(b"times" + times.to_bytes(64, "big"), digest_size=16).digest())
            times = 1
        found.append(part)
    return found


def _chain_parts(graph: Graph, memo: dict[int, list[Part] | None]) -> list[Part] | None:
    """The parts of a graph of one input; None where a branch is zero and only the whole can tell."""
    key = id(graph)
    if key not in memo:
        memo[key] = _parts_in_row(graph, memo) if _is_chain(graph) else _parts_or_none(flatten(graph))
    return memo[key]


def _is_chain(graph: Graph) -> bool:
    before = graph.inputs[0]
    for name, _, inputs in graph.nodes:
        if inputs != (before,):
            return False
        before = name
    return graph.output == before


def _parts_or_none(flat: Flat) -> list[Part] | None:
    return _parts(flat) if flat.output and flat.reads_input else None


def _parts_in_row(graph: Graph, memo: dict[int, list[Part] | None]) -> list[Part] | None:
    parts: list[Part] = []
    for _, op, _ in graph.nodes:
        if type(op) is Graph:
            inner = _chain_parts(op, memo)
            if inner is None:
                return None
            parts += inner
            continue
        assert type(op) is Block
        role = op.signature.traits.role
        if role == "zero":
            return None
        if role != "identity" and role != "sum":
            parts.append(_hash(op))
    return parts


_hashes: dict[str, bytes] = {}


def _hash(block: Block) -> bytes:
    found = _hashes.get(block.label)
    if found is None:
        found = _hashes[block.label] = blake2b(block.label_bytes, digest_size=16).digest()
    return found


def _shape(flat: Flat) -> _Shape:
    return [(_hash(b), ports, b.signature.traits.role == "symmetric") for _, b, ports in flat.terms]


def _whole(flat: Flat) -> bytes:
    return _certificate(_shape(flat), len(flat.inputs), flat.output)


def _parts(flat: Flat) -> list[Part]:
    """The segments between the cut values of a graph of one input.

    A cut value is one through which everything after it passes: whatever reads one of its ancestors reads the whole
    value, in whole multiples.
    """
    shape, output = _shape(flat), flat.output
    if not output or not flat.reads_input:
        return [_whole(flat)]
    above: list[set[int]] = [{0}]
    for i, (_, ports, _) in enumerate(shape):
        above.append({i + 1}.union(*(above[j] for port in ports for j in port)))
    parts: list[Part] = []
    entry: Value = (0,)
    done: set[int] = {0}
    everything = set(range(len(shape) + 1))
    for value, upstream in [*_cuts(shape, output, above), (output, everything)]:
        if value != entry:
            parts.append(_segment(shape, sorted(upstream - done), entry, value))
        entry, done = value, upstream
    return parts


def _cuts(shape: _Shape, output: Value, above: list[set[int]]) -> list[tuple[Value, set[int]]]:
    """All cut values with their ancestors, from the input on.

    Each is what some block reads, or that divided by its multiplicity, constants left out: the first block after a cut
    reads nothing else.
    """
    candidates: set[Value] = set()
    for port in {output, *(port for _, ports, _ in shape for port in ports)}:
        moving = tuple([j for j in port if 0 in above[j]])
        if moving and moving != (0,):
            candidates.add(moving)
            if len(set(moving)) < len(moving):
                divisor = math.gcd(*Counter(moving).values())
                candidates.add(moving[::divisor])
    found = []
    for value in candidates:
        upstream = set().union(*[above[j] for j in value])
        if value != output and _is_cut(value, upstream, shape, output):
            found.append((value, upstream))
    return sorted(found, key=lambda cut: (len(cut[1]), len(cut[0])))


def _is_cut(value: Value, upstream: set[int], shape: _Shape, output: Value) -> bool:
    for i, (_, ports, _) in enumerate(shape):
        if i + 1 not in upstream:
            for port in ports:
                if _copies(port, value, upstream) is None:
                    return False
    return _copies(output, value, upstream) is not None


def _copies(port: Value, value: Value, upstream: set[int]) -> int | None:
    """How many whole copies of `value` the upstream part of `port` is; None when it is no whole number."""
    inside = [j for j in port if j in upstream]
    if not inside:
        return 0
    times, rest = divmod(len(inside), len(value))
    if rest or tuple(inside) != tuple(j for j in value for _ in range(times)):
        return None
    return times


def _segment(shape: _Shape, members: Sequence[int], entry: Value, value: Value) -> Part:
    if not members:
        return len(value) // len(entry)
    number = {j: n + 1 for n, j in enumerate(members)}

    def inside(port: Value) -> Value:
        kept = [number[j] for j in port if j in number]
        copies = (len(port) - len(kept)) // len(entry)
        return (0,) * copies + tuple(kept)

    if len(members) == 1:
        label, ports, _ = shape[members[0] - 1]
        if len(ports) == 1 and value == (members[0],) and inside(ports[0]) == (0,):
            return label
    cut = [
        (label, tuple(inside(port) for port in ports), symmetric)
        for label, ports, symmetric in (shape[j - 1] for j in members)
    ]
    return _certificate(cut, 1, inside(value))


def _certificate(shape: _Shape, k: int, output: Value) -> bytes:
    """16 bytes, equal exactly for isomorphic segments: the input's numbers are fixed, the terms' are not."""
    colours = [b"input" + i.to_bytes(11, "big") for i in range(k)]
    for label, ports, symmetric in shape:
        colours.append(blake2b(label + _ports(colours, ports, symmetric), digest_size=16).digest())
    if len(set(colours)) == len(colours):
        body = b"tree" + len(colours).to_bytes(4, "big") + b"".join(sorted(colours[i] for i in output))
        return blake2b(body, digest_size=16).digest()
    return blake2b(b"graph" + _search(_Ties(shape, k, output), colours), digest_size=16).digest()


def _ports(colours: list[bytes], ports: tuple[Value, ...], symmetric: bool) -> bytes:
    if len(ports) == 1 and len(ports[0]) == 1:
        return b"\0\1" + colours[ports[0][0]]
    words = [len(port).to_bytes(2, "big") + b"".join(sorted([colours[i] for i in port])) for port in ports]
    return b"".join(sorted(words) if symmetric else words)


class _Ties:
    """A segment in which Merkle colours leave ties, with its edges in both directions."""

    def __init__(self, shape: _Shape, k: int, output: Value) -> None:
        self.shape, self.k, self.output = shape, k, output
        self.users: list[list[tuple[int, bytes]]] = [[] for _ in range(k + len(shape))]
        for i, (_, ports, symmetric) in enumerate(shape):
            for p, port in enumerate(ports):
                for j in port:
                    self.users[j].append((k + i, (0 if symmetric else p + 1).to_bytes(2, "big")))

    def refine(self, colours: list[bytes]) -> list[bytes]:
        """The coarsest equitable colouring finer than `colours`."""
        classes = len(set(colours))
        while True:
            new = colours[: self.k]
            for i, (_, ports, symmetric) in enumerate(self.shape, self.k):
                below = b"".join(sorted([port + colours[u] for u, port in self.users[i]]))
                leaves = self.output.count(i).to_bytes(4, "big")
                word = colours[i] + leaves + _ports(colours, ports, symmetric) + b"/" + below
                new.append(blake2b(word, digest_size=16).digest())
            colours = new
            if (count := len(set(colours))) == classes:
                return colours
            classes = count

    def written(self, colours: list[bytes]) -> bytes:
        """The segment written down with its terms in the order of their colours."""
        order = sorted(range(self.k, len(colours)), key=colours.__getitem__)
        number = {i: i for i in range(self.k)} | {i: self.k + n for n, i in enumerate(order)}

        def value(port: Value) -> tuple[int, ...]:
            return tuple(sorted(number[j] for j in port))

        rows = []
        for i in order:
            label, ports, symmetric = self.shape[i - self.k]
            values = [value(port) for port in ports]
            rows.append((label.hex(), sorted(values) if symmetric else values))
        return repr((rows, value(self.output))).encode()


def _search(ties: _Ties, colours: list[bytes]) -> bytes:
    """The smallest writing over all ways to break the ties, branches that an automorphism repeats left out."""
    colours = ties.refine(colours)
    cell = _first_tie(colours)
    if cell is None:
        return ties.written(colours)
    best: bytes | None = None
    seen: set[bytes] = set()
    for member in cell:
        single = _single_out(colours, member)
        greedy = _greedy(ties, single)
        if greedy in seen:
            continue
        seen.add(greedy)
        found = _search(ties, single)
        best = found if best is None else min(best, found)
    assert best is not None
    return best


def _greedy(ties: _Ties, colours: list[bytes]) -> bytes:
    """One leaf of the search below `colours`; two branches with equal leaves are images of each other."""
    colours = ties.refine(colours)
    while (cell := _first_tie(colours)) is not None:
        colours = ties.refine(_single_out(colours, cell[0]))
    return ties.written(colours)


def _single_out(colours: list[bytes], member: int) -> list[bytes]:
    new = list(colours)
    new[member] = blake2b(b"this" + new[member], digest_size=16).digest()
    return new


def _first_tie(colours: list[bytes]) -> list[int] | None:
    places: dict[bytes, list[int]] = {}
    for i, colour in enumerate(colours):
        places.setdefault(colour, []).append(i)
    tied = [(len(where), colour) for colour, where in places.items() if len(where) > 1]
    return places[min(tied)[1]] if tied else None
