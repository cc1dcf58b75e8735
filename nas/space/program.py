"""A graph as rows of numbers, which is all that its digest reads: the terms of `flat` with codes for blocks.

A graph that stands inside another is a *program*: its rows are found once, and where it is large it stands among the
other's rows as one, a *call*. DARTS has two such graphs, used in eight cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.space.flat import Value, live_numbers, moved, renumbered
from nas.space.graph import Block, Graph

Row = tuple[int, tuple[Value, ...], bool]
"""A block's code (or -1 - n for call number n), the value on each port, and whether the ports have no order."""

LARGE = 6
"""Rows of a program that make a call of it cheaper than a copy."""


class Program:
    """The rows of a simplified graph: its inputs are terms 0..k-1, each row gives the next; `calls` are called."""

    def __init__(self, k: int, rows: list[Row], output: Value, calls: Sequence[Program] = ()) -> None:
        self.k, self.rows, self.output, self.calls = k, rows, output, calls
        self._last: list[int] | None = None
        self._callable: bool | None = None
        self._readers: list[list[tuple[int, int]]] | None = None

    @property
    def last(self) -> list[int]:
        """For every input and term the number of the last row that reads it, or -1; the output comes after all."""
        if self._last is None:
            self._last = last = [-1] * (self.k + len(self.rows))
            for i, (_, ports, _) in enumerate(self.rows):
                for port in ports:
                    for j in port:
                        last[j] = i
            for j in self.output:
                last[j] = len(self.rows)
        return self._last

    @property
    def readers(self) -> list[list[tuple[int, int]]]:
        """For every input and term the terms that read it, as often as they do, and on which port."""
        if self._readers is None:
            found: list[list[tuple[int, int]]] = [[] for _ in range(self.k + len(self.rows))]
            for i, (_, ports, _) in enumerate(self.rows, self.k):
                for p, port in enumerate(ports):
                    for j in port:
                        found[j].append((i, p))
            self._readers = found
        return self._readers

    @property
    def callable(self) -> bool:
        """Whether it may stand as one row without hiding a value through which all must pass, and pays.

        Its output is one term, it reads all its inputs, each by itself, nothing in it reads only zeros, and before
        each of its terms more is to be read later than the value on one of its ports.
        """
        if self._callable is None:
            large = len(self.rows) >= LARGE and len(self.output) == 1 and self.output[0] >= self.k
            self._callable = large and self._hides_nothing()
        return self._callable

    def _hides_nothing(self) -> bool:
        k = self.k
        gone = [0] * (len(self.rows) + 1)
        for i in self.last:
            if i < 0:
                return False
            gone[i] += 1
        live = k
        for i, (_, ports, _) in enumerate(self.rows):
            for port in ports:
                if len(port) > 1 and port[1] < k and len({j for j in port if j < k}) > 1:
                    return False
            first = ports[0] or next(filter(None, ports), ())
            if not first or (i and len(first) >= live == len(set(first))):
                return False
            live += 1 - gone[i]
        return True


class Programs:
    """Finds the rows of one graph, and the programs of the graphs in it, each once.

    Those of graphs that many architectures share are kept with these, where they have the key ``program``.
    """

    def __init__(self, code: Callable[[Block], int]) -> None:
        self.code = code
        self.found: dict[int, Program | None] = {}
        self.seen: set[int] = set()

    def whole(self, graph: Graph) -> Program:
        """The graph's rows, with calls of what is large in it, without what nothing uses."""
        k = len(graph.inputs)
        rows: list[Row] = []
        calls: list[Program] = []
        output = self._into(rows, calls, k, graph, [(i,) for i in range(k)])
        found = Program(k, rows, output, calls)
        return _live(found) if -1 in found.last[k:] else found

    def inner(self, graph: Graph) -> Program | None:
        """The program of a graph inside another; None where it is as well read.

        That is where a call is in it, and the first time where nothing is to be gained: of one input, or small.
        """
        kept = graph.__dict__
        if "program" in kept:
            if kept["program"] is None:
                kept["program"] = self._shut(graph) or NO_PROGRAM
            shared: Program = kept["program"]
            return None if shared is NO_PROGRAM else shared
        key = id(graph)
        if key in self.found:
            return self.found[key]
        if key not in self.seen and (len(graph.inputs) == 1 or len(graph.nodes) < SMALL):
            self.seen.add(key)
            return None
        found = self.found[key] = self._shut(graph)
        return found

    def _shut(self, graph: Graph) -> Program | None:
        for _, op, _ in graph.nodes:
            if type(op) is Graph and len(op.inputs) > 1 and len(op.nodes) >= SMALL:
                inner = self.inner(op)
                if inner is not None and inner.callable:
                    return None
        made = self.whole(graph)
        return None if made.calls else made

    def _into(self, rows: list[Row], calls: list[Program], k: int, graph: Graph, args: Sequence[Value]) -> Value:
        """Adds the rows of a graph whose inputs have the values `args`; gives its output's value."""
        env = dict(zip(graph.inputs, args, strict=True))
        live = None if "mould" in graph.__dict__ else _live_names(graph)
        for name, op, inputs in graph.nodes:
            if live is not None and name not in live:
                continue
            values = (env[inputs[0]],) if len(inputs) == 1 else tuple([env[i] for i in inputs])  # type: ignore
            if type(op) is Graph:
                inner = None if () in values else self.inner(op)
                if inner is None:
                    env[name] = self._into(rows, calls, k, op, values)
                elif inner.callable:
                    env[name] = (k + len(rows),)
                    calls.append(inner)
                    rows.append((-len(calls), values, False))
                else:
                    env[name] = _copy(rows, k + len(rows), inner, values)
                continue
            assert type(op) is Block
            traits = op.signature.traits
            role = traits.role
            if role == "identity":
                env[name] = values[0]
            elif role == "sum":
                env[name] = values[0] if len(values) == 1 else tuple(sorted([i for v in values for i in v]))
            elif role == "zero" or (traits.keeps_zero and not any(values)):
                env[name] = ()
            else:
                env[name] = (k + len(rows),)
                rows.append((self.code(op), values, role == "symmetric"))
        return env[graph.output]


SMALL = 4
"""Nodes of a graph that hold a large program only if they are graphs themselves."""

NO_PROGRAM = Program(0, [], ())


def _live_names(graph: Graph) -> set[str]:
    live = {graph.output}
    for name, _, inputs in reversed(graph.nodes):
        if name in live:
            live.update(inputs)  # type: ignore[arg-type]
    return live


def opened(graph: Program, calls: Sequence[Program]) -> Program:
    """The same without calls: the rows of what it calls in their place."""
    rows: list[Row] = []
    env: list[Value] = [(j,) for j in range(graph.k)]

    def found(port: Value) -> Value:
        return tuple(sorted([i for j in port for i in env[j]]))

    for code, ports, free in graph.rows:
        args = [found(port) for port in ports]
        if code < 0:
            env.append(_copy(rows, graph.k + len(rows), calls[-1 - code], args))
        else:
            env.append((graph.k + len(rows),))
            rows.append((code, tuple(args), free))
    return Program(graph.k, rows, found(graph.output))


def _copy(rows: list[Row], here: int, called: Program, args: Sequence[Value]) -> Value:
    """Adds a program's rows, the first of which becomes term number `here`; gives its output's value."""
    more = here - called.k
    for code, ports, free in called.rows:
        rows.append((code, tuple([moved(port, args, more) for port in ports]), free))
    return moved(called.output, args, more)


def _live(found: Program) -> Program:
    """Without the rows that nothing uses."""
    number = live_numbers(found.k, [ports for _, ports, _ in found.rows], found.output)
    rows = [
        (code, renumbered(ports, number), free)
        for i, (code, ports, free) in enumerate(found.rows, found.k)
        if number[i] >= 0
    ]
    return Program(found.k, rows, tuple([number[j] for j in found.output]), found.calls)
