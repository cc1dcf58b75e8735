"""From a graph with choices to a table of decisions and a builder that turns picks into a graph.

Everything that does not depend on a decision is built once and shared by all architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from operator import itemgetter

from nas.errors import SpaceError
from nas.space.graph import Block, Choice, Graph, Mould, Node, Repeat, Scalar
from nas.space.ports import KINDS, SAME, kinds_text
from nas.space.structure import Structures

NAMED = 6
"""Options of a choice that a message names."""
Picks = Sequence[int]
Kinds = frozenset[str]


@dataclass(frozen=True)
class Decision:
    """One decision: its label and what its options are called."""

    label: str
    names: tuple[Scalar, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """A place where decision `number` is taken, and the places that each of its options opens there."""

    number: int
    opens: tuple[tuple[Place, ...], ...]


@dataclass(frozen=True)
class Expanded:
    """`first` are the places that are always open; `build` gives the graph of complete picks."""

    decisions: tuple[Decision, ...]
    first: tuple[Place, ...]
    build: Callable[[Picks], Graph]

    def beside(self, more: Sequence[Decision]) -> Expanded:
        """With more decisions, always open, that the graph does not depend on."""
        known = {decision.label for decision in self.decisions}
        for decision in more:
            if decision.label in known or not decision.names:
                raise SpaceError(f"expected a label of its own and options for {decision}")
        places = [Place(i, ((),) * len(d.names)) for i, d in enumerate(more, len(self.decisions))]
        return Expanded((*self.decisions, *more), (*self.first, *places), self.build)


Memo = dict[int, object]
Build = Callable[[Picks, Memo], object]


@dataclass(frozen=True, eq=False)
class _Part:
    """An expanded element: a constant (`build` is None) or a builder, and the places it always opens.

    `table` are the constants that the decision at `opens[0]` picks from, where there is no more to it.
    """

    constant: object
    build: Build | None
    opens: tuple[Place, ...]
    table: tuple[object, ...] = ()

    def at(self, picks: Picks, memo: Memo) -> object:
        return self.constant if self.build is None else self.build(picks, memo)


def expand(graph: Graph, input_kinds: Sequence[str] | None = None) -> Expanded:
    """Raises SpaceError for labels reused with other options and for ports that do not fit, with the path to the place.

    `input_kinds` are the kinds that come in; where they are not given every kind is possible.
    """
    kinds = [frozenset({k}) for k in input_kinds] if input_kinds is not None else None
    if kinds is not None and len(kinds) != len(graph.inputs):
        raise SpaceError(f"the space takes {_count(len(graph.inputs))}, the task has {len(kinds)}")
    _flow(graph, kinds or [frozenset(KINDS)] * len(graph.inputs), "")
    work = _Expansion()
    part = work.element(graph, "", "")

    def build(picks: Picks) -> Graph:
        made = part.at(picks, {})
        assert isinstance(made, Graph)
        return made

    return Expanded(tuple(work.decisions), part.opens, build)


class _Expansion:
    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.labels: dict[str, tuple[int, Choice, str]] = {}
        self.known: dict[tuple[int, str, str], _Part] = {}
        self.structures = Structures()

    def element(self, element: object, path: str, prefix: str) -> _Part:
        """Expanded once for all equal elements that share decisions, so that tied copies are built once a sample."""
        place = path if self.structures.decides_by_place(element) else ""
        key = (self.structures.number(element), prefix, place)
        if key not in self.known:
            self.known[key] = self._element(element, path, prefix)
        return self.known[key]

    def _element(self, element: object, path: str, prefix: str) -> _Part:
        if isinstance(element, Graph):
            return self._graph(element, path, prefix)
        if isinstance(element, Repeat):
            return self._repeat(element, path, prefix)
        if isinstance(element, Choice):
            return self._choice(element, path, prefix)
        if isinstance(element, Block):
            return self._block(element, path, prefix)
        return _Part(element, None, ())

    def _choice(self, choice: Choice, path: str, prefix: str) -> _Part:
        number = self._number(choice, path, prefix)
        return self._decide(number, [self.element(option, path, prefix) for option in choice.options])

    def _number(self, choice: Choice, path: str, prefix: str) -> int:
        """The decision's number: that of its label, where the label is known."""
        label = prefix + choice.label
        if label not in self.labels:
            self.labels[label] = (len(self.decisions), choice, path)
            self.decisions.append(Decision(label, choice.names))
        number, other, place = self.labels[label]
        if self.structures.number(other) != self.structures.number(choice):
            raise SpaceError(
                f"{path or 'the space'}: label {label!r} is used for other options at {place or 'the space'}; "
                f"give one of the two another label ({_options(choice)} here, {_options(other)} there)"
            )
        return number

    def _decide(self, number: int, parts: list[_Part]) -> _Part:
        """The part that the decision picks."""
        place = Place(number, tuple(part.opens for part in parts))
        if all(part.build is None for part in parts):
            table = tuple(part.constant for part in parts)
            return _Part(None, lambda picks, memo: table[picks[number]], (place,), table)
        return _Part(None, lambda picks, memo: parts[picks[number]].at(picks, memo), (place,))

    def _block(self, block: Block, path: str, prefix: str) -> _Part:
        parts = [(name, self.element(v, path, prefix)) for name, v in block.params if isinstance(v, Choice | Graph)]
        moving = [(name, part) for name, part in parts if part.build is not None]
        if not moving:
            return _Part(block, None, ())
        made: dict[tuple[object, ...], Block] = {}
        fixed: dict[str, object] = dict(block.params)

        def build(picks: Picks, memo: Memo) -> Block:
            values = tuple(part.at(picks, memo) for _, part in moving)
            key = tuple([(type(value), value) for value in values])  # True, 1 and 1.0 are equal in Python
            if key in made:
                return made[key]
            given = fixed | {name: value for (name, _), value in zip(moving, values, strict=True)}
            fresh = replace(block, params=tuple(sorted(given.items(), key=itemgetter(0))))  # type: ignore[arg-type]
            if not any(isinstance(value, Graph) for value in values):  # of scalars there are few, of graphs too many
                made[key] = fresh
            return fresh

        return _Part(None, build, _merge(part for _, part in moving))

    def _repeat(self, element: Repeat, path: str, prefix: str) -> _Part:
        names = [f"{element.name}{i}" for i in range(element.most)]
        places = [f"{path}/{name}" if path else name for name in names]
        prefixes = [prefix if element.tied else f"{prefix}{place}/" for place in places]
        if not isinstance(element.times, Choice):
            return _repeated([self.element(element.body, *at) for at in zip(places, prefixes, strict=True)], names)
        number = self._number(element.times, path, prefix)
        bodies = [self.element(element.body, *at) for at in zip(places, prefixes, strict=True)]
        return self._decide(number, [_repeated(bodies[:count], names) for count in element.counts])

    def _graph(self, graph: Graph, path: str, prefix: str) -> _Part:
        rows: list[tuple[Node, _Part, _Part]] = []
        for node in graph.nodes:
            place = f"{path}/{node.name}" if path else node.name
            rows.append((node, self.element(node.op, place, prefix), self.element(node.inputs, place, prefix)))
        opens = _merge(part for _, op, inputs in rows for part in (op, inputs))
        if all(op.build is None and inputs.build is None for _, op, inputs in rows):
            made = tuple(Node(node.name, op.constant, inputs.constant) for node, op, inputs in rows)  # type: ignore[arg-type]
            return _Part(Graph(graph.inputs, made, graph.output), None, opens)
        steps = [_step(node.name, op, inputs) for node, op, inputs in rows]
        wired = all(inputs.build is None for _, _, inputs in rows)
        mould = Mould(tuple(i for i, (_, op, _) in enumerate(rows) if op.build is not None)) if wired else None

        def build(picks: Picks, memo: Memo) -> Graph:
            nodes = tuple([step if type(step) is Node else step(picks, memo) for step in steps])  # type: ignore[operator]
            made = Graph(graph.inputs, nodes, graph.output)
            if mould is not None:
                made.__dict__["mould"] = mould
            return made

        numbers = _alone(part for _, op, inputs in rows for part in (op, inputs))
        if numbers and prod(len(self.decisions[number].names) for number in numbers) <= FEW:
            return _Part(None, _kept(build, numbers), opens)
        return _Part(None, _once(build), opens)


def _options(choice: Choice) -> str:
    """The options as a message names them, of many the first."""
    return " | ".join([*map(str, choice.names[:NAMED]), *["..."] * (len(choice.names) > NAMED)])


def _repeated(bodies: list[_Part], names: list[str]) -> _Part:
    """Some bodies one after the other, under the first of `names`."""
    rows = list(zip(names, bodies, [("x",), *((name,) for name in names)], strict=False))
    last = names[len(bodies) - 1] if bodies else "x"
    opens = _merge(bodies)
    if all(body.build is None for body in bodies):
        return _Part(Graph(("x",), tuple(Node(n, body.constant, b) for n, body, b in rows), last), None, opens)  # type: ignore[arg-type]
    only = bodies[0] if len(set(map(id, bodies))) == 1 else None

    def build(picks: Picks, memo: Memo) -> Graph:
        if only is not None:
            op = only.at(picks, memo)
            return Graph(("x",), tuple([Node(n, op, b) for n, _, b in rows]), last)  # type: ignore[arg-type]
        return Graph(("x",), tuple([Node(n, body.at(picks, memo), b) for n, body, b in rows]), last)  # type: ignore[arg-type]

    return _Part(None, _once(build), opens)


def _step(name: str, op: _Part, inputs: _Part) -> Node | Callable[[Picks, Memo], Node]:
    if op.build is None and inputs.build is None:
        return Node(name, op.constant, inputs.constant)  # type: ignore[arg-type]
    if inputs.build is None and op.table:
        nodes, number = [Node(name, option, inputs.constant) for option in op.table], op.opens[0].number  # type: ignore[arg-type]
        return lambda picks, memo: nodes[picks[number]]
    return lambda picks, memo: Node(name, op.at(picks, memo), inputs.at(picks, memo))  # type: ignore[arg-type]


def _once(build: Callable[[Picks, Memo], Graph]) -> Build:
    """The same graph object wherever a tied element stands: one sample builds it once."""
    key = id(build)

    def cached(picks: Picks, memo: Memo) -> object:
        made = memo.get(key)
        if made is None:
            made = memo[key] = build(picks, memo)
        return made

    return cached


FEW = 2_000
"""Graphs that all samples of a space share, where there are no more ways to build one."""


def _alone(parts: Iterable[_Part]) -> list[int]:
    """The decisions that the parts depend on, if none of these opens another; else none."""
    moving = [part for part in parts if part.build is not None]
    return sorted({part.opens[0].number for part in moving}) if all(part.table for part in moving) else []


def _kept(build: Callable[[Picks, Memo], Graph], numbers: list[int]) -> Build:
    """The same graph object for the same picks in all samples, which keeps with it what is found out about it."""
    made: dict[object, Graph] = {}
    key_of = itemgetter(*numbers)

    def kept(picks: Picks, memo: Memo) -> object:
        key = key_of(picks)
        found = made.get(key)
        if found is None:
            found = made[key] = build(picks, memo)
            found.__dict__["program"] = None
        return found

    return kept


def _merge(parts: Iterable[_Part]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(place for part in parts for place in part.opens))


def _count(inputs: int) -> str:
    return f"{inputs} input{'s' * (inputs != 1)}"


def _flow(element: object, given: Sequence[Kinds], path: str) -> Kinds:
    """The kinds that may come out of `element`; raises SpaceError where nothing of what comes in fits."""
    here = path or "the space"
    if isinstance(element, Choice):
        return frozenset().union(*(_flow(option, given, path) for option in element.options))
    if isinstance(element, Repeat):
        if len(given) != 1:
            raise SpaceError(f"{here}: a repeat takes one input, got {len(given)}")
        kinds = found = given[0]
        for i in range(element.most):
            kinds = _flow(element.body, [kinds], f"{path}/{element.name}{i}" if path else f"{element.name}{i}")
            found = kinds if i == 0 and 0 not in element.counts else found | kinds
        return found
    if isinstance(element, Graph):
        return _flow_graph(element, given, path)
    if isinstance(element, Block):
        return _flow_block(element, given, here)
    raise SpaceError(f"{here}: expected a block, graph, choice or repeat, got {element!r}")


def _flow_graph(graph: Graph, given: Sequence[Kinds], path: str) -> Kinds:
    if len(given) != len(graph.inputs):
        raise SpaceError(f"{path or 'the space'}: takes {_count(len(graph.inputs))}, got {len(given)}")
    kinds = dict(zip(graph.inputs, given, strict=True))
    for node in graph.nodes:
        place = f"{path}/{node.name}" if path else node.name
        options = node.inputs.options if isinstance(node.inputs, Choice) else (node.inputs,)
        out: Kinds = frozenset()
        for sources in options:
            out |= _flow(node.op, [kinds[s] for s in sources], place)  # type: ignore[attr-defined]
        kinds[node.name] = out
    return kinds[graph.output]


def _flow_block(block: Block, given: Sequence[Kinds], here: str) -> Kinds:
    signature = block.signature
    for name, value in block.params:
        if isinstance(value, Graph):
            _flow_graph(value, [frozenset(KINDS)] * len(value.inputs), f"{here}/{name}")
    ports = list(signature.ports)
    if signature.variadic and len(given) >= len(ports):
        ports += [ports[-1]] * (len(given) - len(ports))
    if len(ports) != len(given):
        many = "at least " if signature.variadic else ""
        raise SpaceError(f"{here}: block {block} takes {many}{_count(len(ports))}, got {len(given)}")
    for number, (port, kinds) in enumerate(zip(ports, given, strict=True)):
        if not port & kinds:
            raise SpaceError(
                f"{here}: block {block} takes {kinds_text(port)} at input {number}, got {kinds_text(kinds)}"
            )
    if signature.output != SAME:
        return frozenset(signature.output.split("|"))
    return given[0] & ports[0]
