"""The canonical digest: equal for two architectures that are the same function of the same weights to learn.

The graph is simplified (see `program`), cut into segments at every value through which all of it must pass (see
`cuts`), and each segment is hashed so that nothing but its structure counts (see `fingerprint`). Cutting makes a cell
that is used in fifteen places cost as much as one, and makes digests blind to how a chain was nested.

Digests are the same in every process and on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from nas.space.cuts import Plan, plan
from nas.space.fingerprint import fingerprint
from nas.space.graph import Block, Graph, Mould
from nas.space.program import SMALL, Program, Programs

VERSION = b"nas-digest-2"

Parts = list[bytes]


def digest(graph: Graph) -> str:
    """32 hexadecimal digits that name the architecture, however its nodes are named, ordered or nested."""
    k = len(graph.inputs)
    programs = Programs(_code)
    parts = _parts_in_row(graph, programs, {}) if k == 1 and _is_chain(graph) else None
    if parts is None:
        parts = _hashed(*_planned(graph, programs))
    head = VERSION + k.to_bytes(2, "big")
    return blake2b(head + b"".join(parts), digest_size=16).hexdigest()


def _is_chain(graph: Graph) -> bool:
    before = graph.inputs[0]
    for name, _, inputs in graph.nodes:
        if inputs != (before,):
            return False
        before = name
    return graph.output == before


def _parts_in_row(graph: Graph, programs: Programs, memo: dict[int, Parts | None]) -> Parts | None:
    """The parts of a chain; None where only the whole can tell: zeros, constants, multiples at the end of a link."""
    parts: Parts = []
    for _, op, _ in graph.nodes:
        if type(op) is Graph:
            inner = _parts_of_link(op, programs, memo)
            if inner is None:
                return None
            parts += inner
            continue
        assert type(op) is Block
        role = op.signature.traits.role
        if role == "zero":
            return None
        if role != "identity" and role != "sum":
            parts.append(_code(op).to_bytes(16))
    return parts


def _parts_of_link(graph: Graph, programs: Programs, memo: dict[int, Parts | None]) -> Parts | None:
    key = id(graph)
    if key not in memo:
        if _is_chain(graph):
            memo[key] = _parts_in_row(graph, programs, memo)
        else:
            found, calls = _planned(graph, programs)
            memo[key] = _hashed(found, calls) if found.closed else None
    return memo[key]


def _hashed(found: Plan, calls: Sequence[Program]) -> Parts:
    return [part if type(part) is bytes else fingerprint(part, calls) for part in found.parts]  # type: ignore[arg-type]


PLANS = 1_000


def _planned(graph: Graph, programs: Programs) -> tuple[Plan, Sequence[Program]]:
    """How to digest a graph and what its rows call; the first is found once for all that differ in what is called."""
    key: list[object] = []
    calls: list[Program] = []
    if not _outlined(graph, programs, key, calls):
        whole = programs.whole(graph)
        return plan(whole), whole.calls
    plans: dict[object, Plan] = graph.__dict__["mould"].plans
    outline = tuple(key)
    if outline not in plans:
        whole = programs.whole(graph)
        if [*map(id, whole.calls)] != [*map(id, calls)]:  # some are in no mould, or read in place of called
            return plan(whole), whole.calls
        if len(plans) >= PLANS:
            plans.clear()
        plans[outline] = plan(whole)
    return plans[outline], calls


def _outlined(graph: Graph, programs: Programs, key: list[object], calls: list[Program]) -> bool:
    """Whether nothing but what is called tells it from others of its mould; adds what is called, and which moulds."""
    mould: Mould | None = graph.__dict__.get("mould")
    if mould is None:
        return False
    key.append(mould)
    nodes = graph.nodes
    for i in mould.moving:
        op = nodes[i][1]
        if type(op) is not Graph:
            return False
        inner = programs.inner(op) if len(op.nodes) >= SMALL else None
        if inner is None:
            if not _outlined(op, programs, key, calls):
                return False
        elif inner.callable:
            key.append(inner.k)
            calls.append(inner)
        else:
            return False
    return True


def _code(block: Block) -> int:
    """128 bits, equal for blocks that are the same; a graph among the parameters counts by its digest."""
    kept = block.__dict__
    if "code" not in kept:
        kept["code"] = int.from_bytes(blake2b(_written(block).encode(), digest_size=16).digest())
    return kept["code"]  # type: ignore[no-any-return]


def _written(block: Block) -> str:
    inner = [(name, digest(value)) for name, value in block.params if isinstance(value, Graph)]
    if not inner:
        return block.label
    plain = tuple((name, value) for name, value in block.params if not isinstance(value, Graph))
    return repr((Block(block.signature, plain).label, inner))
