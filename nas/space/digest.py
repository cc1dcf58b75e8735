"""The canonical digest: equal for two architectures that are the same function of the same weights to learn.

The graph is simplified (see `flat`), cut into segments at every value through which all of it must pass, and each
segment is written down in an order that depends on nothing but its structure (see `canonical`); the digest is a hash of
what was written, so no two different graphs share one but by a collision of 128 bits. Cutting makes a cell that is used
in fifteen places cost as much as one, and makes digests blind to how a chain was nested.

Digests are the same in every process and on every machine.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

from nas.space.canonical import Row, certificate
from nas.space.flat import Value, simplified
from nas.space.graph import Block, Graph

VERSION = b"nas-digest-1"


def digest(graph: Graph) -> str:
    """32 hexadecimal digits that name the architecture, however its nodes are named, ordered or nested."""
    k = len(graph.inputs)
    parts = _chain_parts(graph, {}) if k == 1 else None
    if parts is None:
        rows, output = _flat(graph)
        parts = _parts(rows, output) if k == 1 else [certificate(rows, k, output)]
    head = VERSION + k.to_bytes(2, "big")
    return blake2b(head + b"".join(parts), digest_size=16).hexdigest()


def _chain_parts(graph: Graph, memo: dict[int, list[bytes] | None]) -> list[bytes] | None:
    """The parts of a graph of one input; None where only the whole can tell: zeros, constants, multiples at its end."""
    key = id(graph)
    if key not in memo:
        memo[key] = _parts_in_row(graph, memo) if _is_chain(graph) else _parts_or_none(*_flat(graph))
    return memo[key]


def _is_chain(graph: Graph) -> bool:
    before = graph.inputs[0]
    for name, _, inputs in graph.nodes:
        if inputs != (before,):
            return False
        before = name
    return graph.output == before


def _parts_or_none(rows: list[Row], output: Value) -> list[bytes] | None:
    if not _reads_input(rows, output) or _has_constant(rows) or output != _primitive(output):
        return None
    return _parts(rows, output)


def _reads_input(rows: list[Row], output: Value) -> bool:
    return 0 in output or any(0 in port for _, ports, _ in rows for port in ports)


def _has_constant(rows: list[Row]) -> bool:
    """Whether some term reads nothing but zeros; it may be read anywhere, so such a graph is not cut."""
    return not all(any(ports) for _, ports, _ in rows)


def _parts_in_row(graph: Graph, memo: dict[int, list[bytes] | None]) -> list[bytes] | None:
    parts: list[bytes] = []
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
            parts.append(_code(op))
    return parts


_codes: dict[str, bytes] = {}
REMEMBERED = 100_000


def _code(block: Block) -> bytes:
    """16 bytes, equal for blocks that are the same; a graph among the parameters counts by its digest."""
    label = block.__dict__.get("label")  # what was written before need not be looked at again
    return _codes[label] if label in _codes else _new_code(block)


def _new_code(block: Block) -> bytes:
    if any(isinstance(value, Graph) for _, value in block.params):
        return _code_of_graphs(block)
    if len(_codes) >= REMEMBERED:
        _codes.clear()
    return _codes.setdefault(block.label, blake2b(block.label.encode(), digest_size=16).digest())


def _code_of_graphs(block: Block) -> bytes:
    inner = [(name, digest(value)) for name, value in block.params if isinstance(value, Graph)]
    plain = tuple((name, value) for name, value in block.params if not isinstance(value, Graph))
    return blake2b(repr((Block(block.signature, plain).label, inner)).encode(), digest_size=16).digest()


def _flat(graph: Graph) -> tuple[list[Row], Value]:
    terms, output = simplified(graph)
    return [(_code(block), ports, block.signature.traits.role == "symmetric") for _, block, ports in terms], output


def _parts(rows: list[Row], output: Value) -> list[bytes]:
    """The segments between the cut values of a graph of one input."""
    if not _reads_input(rows, output) or _has_constant(rows):
        return [certificate(rows, 1, output)]
    cuts = _cuts(rows, output)
    if not cuts:
        return [] if output == (0,) else [_segment(rows, range(1, len(rows) + 1), (0,), output)]
    parts: list[bytes] = []
    entry: Value = (0,)
    done: set[int] = {0}
    for value in [*cuts, output]:
        upstream = set(range(len(rows) + 1)) if value is output else done | _ancestors(rows, value)
        if value != entry:
            parts.append(_segment(rows, sorted(upstream - done), entry, value))
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


def _cuts(rows: Sequence[Row], output: Value) -> list[Value]:
    """All cut values, from the input on.

    A cut value is one through which everything after it passes: whatever reads one of its ancestors reads the whole
    value, in whole multiples; of a value and its multiples only the smallest counts, so that there is one way to cut.
    All terms before it in any order are its ancestors, and those of them that are read later are the terms in it, so
    that the next term in the order reads it whole or it is none.
    """
    end = len(rows) + 1
    readers = [*(ports for _, ports, _ in rows), (output,)]
    last = [0] * end
    for i, ports in enumerate(readers, 1):
        for port in ports:
            for j in port:
                last[j] = i
    gone = [0] * (end + 1)
    for i in last:
        gone[i] += 1
    found: list[Value] = []
    live = 0
    for place, ports in enumerate(readers):
        live += 1 - gone[place]
        first = next(filter(None, ports))
        if len(first) >= live == len(set(first)):
            value = _primitive(first)
            if value not in ((0,), output) and _is_cut(value, readers[place:], place):
                found.append(value)
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


def _segment(rows: Sequence[Row], members: Sequence[int], entry: Value, value: Value) -> bytes:
    number = {j: n for n, j in enumerate(members, 1)}

    def inside(port: Value) -> Value:
        if len(port) == 1:
            return (number.get(port[0], 0),)
        kept = [number[j] for j in port if j in number]
        copies = (len(port) - len(kept)) // len(entry)
        return (0,) * copies + tuple(kept)

    if len(members) == 1:
        code, ports, _ = rows[members[0] - 1]
        if len(ports) == 1 and value == (members[0],) and inside(ports[0]) == (0,):
            return code
    if len(members) == len(rows):
        return certificate(rows, 1, value)
    cut = [
        (code, tuple([inside(port) for port in ports]), symmetric)
        for code, ports, symmetric in (rows[j - 1] for j in members)
    ]
    return certificate(cut, 1, inside(value))
