"""From the graph of a space or of one network to boxes: what is chosen, what repeats, what is like something before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nas.space.graph import Block, Choice, Graph, Node, Repeat

from .picture import Box, Edge, Inside, Line

SHOWN = 8
"""How many options of a choice are named."""

SIDE_BY_SIDE = 30
"""How many boxes the options of a choice may be together to be drawn beside one another."""

WIDTH = 42
"""Characters of a line."""

LARGE = 12
"""How many blocks a part of a network must have to be drawn once only, when another differs in widths alone."""

WIDTHS = ("channels", "features", "hidden")

Annotate = Callable[[str], tuple[Line, ...]]


@dataclass
class Builder:
    """Builds the boxes of one picture; it remembers what it has drawn so as to draw nothing large twice.

    annotate: more lines for the block, or for the large part, at a path.
    """

    annotate: Annotate = lambda path: ()
    drawn: dict[object, str] = field(default_factory=dict)

    def inside(self, graph: Graph, path: str = "") -> Inside:
        """A graph as boxes."""
        boxes = tuple(self.node(node, path) for node in graph.nodes)
        edges = tuple(edge for node in graph.nodes for edge in _edges(node))
        return _merged(Inside(graph.inputs, boxes, edges, graph.output))

    def node(self, node: Node, path: str) -> Box:
        """A node as a box, with the choice of its inputs if it has one."""
        place = f"{path}/{node.name}" if path else node.name
        box = replace(self.element(node.name, node.op, place), decides=frozenset(_labels(node.op)))
        if not isinstance(node.inputs, Choice):
            return replace(box, lines=(*box.lines, *_sources(node)))
        said = _options("inputs", node.inputs)
        if box.look == "sum":
            box = replace(box, look="block", kind="add", lines=(Line(node.name, "name"), Line("add", "title")))
        return replace(box, lines=(*box.lines, *said))

    def element(self, name: str, op: object, path: str) -> Box:
        """A block, a choice, a repeat or a graph as a box."""
        if isinstance(op, Block):
            return self._block(name, op, path)
        if isinstance(op, Choice):
            return self._choice(name, op, path)
        if isinstance(op, Repeat):
            return self._repeat(name, op, path)
        assert isinstance(op, Graph)
        return self._once(name, op, path, lambda: _group(name, self.inside(op, path)))

    def _block(self, name: str, block: Block, path: str) -> Box:
        if block.signature.traits.role == "sum":
            return Box(name, "sum", (Line("+", "title"),))
        lines: tuple[Line, ...] = () if name == block.name else (Line(name, "name"),)
        lines += (Line(block.name, "title"),)
        inner = [(key, value) for key, value in block.params if isinstance(value, Graph)]
        for key, value in block.params:
            if isinstance(value, Choice):
                lines += _options(_called(key, value), value)
            elif not isinstance(value, Graph) and block.signature.parameters.get(key) != value:
                lines += (Line(f"{key} {_text(value)}"),)
        lines += self.annotate(path)
        inside = self.inside(inner[0][1], f"{path}/{inner[0][0]}") if inner else None
        return Box(name, "group" if inner else "block", lines, block.name, inside)

    def _choice(self, name: str, choice: Choice, path: str) -> Box:
        lines: tuple[Line, ...] = () if choice.label.endswith(name) else (Line(name, "name"),)
        lines += (Line(f"choose {choice.label}", "choice"),)
        blocks = [option for option in choice.options if isinstance(option, Block)]
        if len(blocks) < len(choice.options):
            return self._choice_of_graphs(name, lines, choice, path)
        if known := self._known(("options", repr(choice.options)), choice, 3):
            return Box(name, "choice", (*lines, known))
        inner = {key: value for block in blocks for key, value in block.params if isinstance(value, Choice)}
        lines += _listed(_option(str(key), block) for key, block in zip(choice.names, blocks, strict=True))
        return Box(
            name,
            "choice",
            (*lines, *(line for key, value in inner.items() for line in _options(_called(key, value), value))),
        )

    def _known(self, key: object, choice: Choice, few: int) -> Line | None:
        """A line that names the choice with the same options that was drawn before, unless they are few."""
        before = self.drawn.setdefault(key, choice.label)
        if before == choice.label or len(choice.names) <= few:
            return None
        return Line(f"{len(choice.names)} options as {before}", "faint")

    def _choice_of_graphs(self, name: str, lines: tuple[Line, ...], choice: Choice, path: str) -> Box:
        """Options over one another where they share their nodes, beside one another where they are few and small."""
        options = list(zip(map(str, choice.names), choice.options, strict=True))
        union = _union([option for _, option in options])
        if union is not None:
            return Box(name, "choice", (*lines, *_options("", choice)), inside=self._dashed(union, path))
        before = dict(self.drawn)
        boxes = [self.element(key, option, path) for key, option in options[:SHOWN]]
        if len(options) <= SHOWN and sum(box.size for box in boxes) <= SIDE_BY_SIDE:
            return Box(name, "choice", lines, inside=_beside(boxes))
        self.drawn = before
        if known := self._known(("names", choice.names), choice, 3):
            return Box(name, "choice", (*lines, known))
        largest = max(options, key=lambda option: _size(option[1]))
        shown = replace(self.element(largest[0], largest[1], path), times="")
        lines += (*_options("", choice), Line(f"drawn: {largest[0]}", "faint"))
        return Box(name, "choice", lines, inside=_beside([shown]))

    def _dashed(self, union: _Union, path: str) -> Inside:
        boxes = tuple(self.node(node, path) for node in union.graph.nodes)
        edges = tuple(
            edge._replace(maybe=edge.maybe or edge.source in union.sometimes or edge.target in union.sometimes)
            for node in union.graph.nodes
            for edge in _edges(node)
        )
        return Inside(union.graph.inputs, boxes, edges, union.graph.output)

    def _repeat(self, name: str, op: Repeat, path: str) -> Box:
        if isinstance(op.body, Graph):
            body = op.body
            made = self._once(name, body, path, lambda: _group(name, self.inside(body, path)))
        else:
            made = self.element(name, op.body, path)
        return replace(made, times=_times(op))

    def _once(self, name: str, op: Graph, path: str, make: Callable[[], Box]) -> Box:
        """The box drawn in full the first time, later a small one that refers to it.

        Parts of a space are one when they take the same decisions, parts of a network when only widths tell them apart.
        """
        labels, size = frozenset(_labels(op)), _size(op)
        key: object = (labels, size) if labels else _alike(op)
        large = size > (2 if labels else LARGE)
        if large and key in self.drawn:
            lines = (Line(name, "name"), Line(f"as {self.drawn[key]}", "faint"), *self.annotate(path))
            return Box(name, "group", lines)
        made = make()
        if large:
            self.drawn.setdefault(key, path)
        return made


def _alike(op: object) -> object:
    """Equal for parts of networks that differ in widths alone."""
    if isinstance(op, Block):
        return op.name, tuple((key, _alike(value)) for key, value in op.params if key not in WIDTHS)
    if isinstance(op, Graph):
        return op.inputs, tuple((node.name, _alike(node.op), node.inputs) for node in op.nodes), op.output
    return op


def _group(name: str, inside: Inside) -> Box:
    return Box(name, "group", (Line(name, "name"),), inside=inside)


def _times(op: Repeat) -> str:
    """How often, and whether every copy decides for itself; nothing for once."""
    if isinstance(op.times, Choice):
        names, counts = (" | ".join(map(str, values)) for values in (op.times.names, op.counts))
        times = f"× {op.times.label}: {names}" if names == counts else f"× {counts} by {op.times.label}: {names}"
    else:
        times = f"× {op.times}" if op.times != 1 else ""
    return f"{times}, each decides for itself" if times and not op.tied and any(_labels(op.body)) else times


@dataclass(frozen=True)
class _Union:
    """Several graphs laid over one another, and the nodes that not all of them have."""

    graph: Graph
    sometimes: frozenset[str]


def _union(options: Sequence[object]) -> _Union | None:
    """Graphs of the same inputs and output whose nodes of one name are one thing, as one graph; None for others."""
    graphs = [option for option in options if isinstance(option, Graph)]
    if len(graphs) < len(options) or len({(g.inputs, g.output) for g in graphs}) > 1:
        return None
    ops: dict[str, object] = {}
    inputs: dict[str, dict[str, None]] = {}
    for node in (node for graph in graphs for node in graph.nodes):
        if not isinstance(node.inputs, tuple) or bool(ops.setdefault(node.name, node.op) != node.op):
            return None
        inputs.setdefault(node.name, {}).update(dict.fromkeys(node.inputs))
    always = set.intersection(*({node.name for node in graph.nodes} for graph in graphs))
    order = sorted(ops, key=lambda name: max(_index(graph, name) for graph in graphs))
    nodes = tuple(Node(name, ops[name], tuple(inputs[name])) for name in order)  # type: ignore[arg-type]
    return _Union(Graph(graphs[0].inputs, nodes, graphs[0].output), frozenset(ops.keys() - always))


def _index(graph: Graph, name: str) -> int:
    return next((i for i, node in enumerate(graph.nodes) if node.name == name), -1)


def _edges(node: Node) -> Iterator[Edge]:
    if isinstance(node.inputs, Choice):
        names = dict.fromkeys(source for option in node.inputs.options for source in option)  # type: ignore[attr-defined]
        yield from (Edge(source, node.name, 0, maybe=True) for source in names)
    else:
        yield from (Edge(source, node.name, port) for port, source in enumerate(node.inputs))


def _beside(boxes: Sequence[Box]) -> Inside:
    """Boxes of which one is taken, between one input and the output."""
    maybe = len(boxes) > 1
    edges = [Edge("x", box.name, maybe=maybe) for box in boxes]
    if maybe:
        edges += [Edge(box.name, "one of them", port, maybe=True) for port, box in enumerate(boxes)]
        return Inside(("x",), (*boxes, Box("one of them", "port")), tuple(edges), "one of them")
    return Inside(("x",), tuple(boxes), tuple(edges), boxes[0].name)


def _merged(inside: Inside) -> Inside:
    """Boxes that only follow one another and are equal become one that says how many it stands for."""
    boxes = {box.name: box for box in inside.boxes}
    readers: dict[str, list[Edge]] = {}
    for edge in inside.edges:
        readers.setdefault(edge.source, []).append(edge)
    gone: dict[str, str] = {}
    counts: dict[str, int] = {}
    for box in inside.boxes:
        first = gone.get(box.name, box.name)
        after = readers.get(box.name, [])
        if len(after) == 1 and box.name != inside.output and _reads_once(inside, after[0].target):
            follower = boxes[after[0].target]
            if follower.size > 1 and _anonymous(follower) == _anonymous(boxes[first]):
                gone[follower.name] = first
                counts[first] = counts.get(first, 1) + 1
    kept = tuple(_counted(box, counts.get(box.name, 1)) for box in inside.boxes if box.name not in gone)
    moved = [edge._replace(source=gone.get(edge.source, edge.source)) for edge in inside.edges]
    edges = tuple(edge for edge in moved if edge.target not in gone)
    return Inside(inside.inputs, kept, edges, gone.get(inside.output, inside.output))


def _reads_once(inside: Inside, name: str) -> bool:
    return sum(edge.target == name for edge in inside.edges) == 1


def _anonymous(box: Box) -> Box:
    return replace(box, name="", lines=tuple(line for line in box.lines if line.style != "name"))


def _counted(box: Box, count: int) -> Box:
    return box if count == 1 else replace(box, times=f"× {count}")


def _sources(node: Node) -> tuple[Line, ...]:
    """What a choice reads as its first input, second and so on, since its wires end in one point."""
    assert isinstance(node.inputs, tuple)
    if not isinstance(node.op, Choice) or len(node.inputs) < 2:
        return ()
    named = [option.inputs for option in node.op.options if isinstance(option, Graph)]
    if not named:
        return (Line(f"from {', '.join(node.inputs)}", "faint"),)
    if named[0] == node.inputs:
        return ()
    said = (f"{name} from {source}" for name, source in zip(named[0], node.inputs, strict=False))
    return (Line(", ".join(said), "faint"),)


def _options(what: str, choice: Choice) -> tuple[Line, ...]:
    """The options of a choice of values or inputs: ``kernel: 3 | 5``, on as many lines as they need."""
    words = [f"{what}:"] if what else []
    words += [f"{name} |" for name in choice.names[: SHOWN - 1]]
    left = len(choice.names) - SHOWN + 1
    words += [f"{choice.names[-1]}"] if left == 1 else [f"{left} more"] if left > 1 else []
    words[-1] = words[-1].removesuffix(" |")
    return tuple(Line(text, "choice") for text in _wrapped(words))


def _called(key: str, choice: Choice) -> str:
    """A parameter, and by which decision it is chosen if that has another name."""
    return key if choice.label.rpartition("/")[2] == key else f"{key} by {choice.label}"


def _wrapped(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > WIDTH:
            yield line
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line


def _listed(lines: Iterable[Line]) -> tuple[Line, ...]:
    lines = tuple(lines)
    if len(lines) <= SHOWN:
        return lines
    return (*lines[: SHOWN - 1], Line(f"… {len(lines) - SHOWN + 1} more", "faint"))


def _option(key: str, option: object) -> Line:
    if isinstance(option, Block) and option.name not in key:
        return Line(_short(f"{key}: {option.name}"))
    return Line(_short(key))


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _text(value: object) -> str:
    return value if isinstance(value, str) else _short(json.dumps(value))


def _labels(op: object) -> Iterator[str]:
    if isinstance(op, Choice):
        yield op.label
    for part in _parts(op):
        yield from _labels(part)


def _size(op: object) -> int:
    return isinstance(op, Block) + sum(map(_size, _parts(op)))


def _parts(op: object) -> tuple[object, ...]:
    if isinstance(op, Block):
        return tuple(value for _, value in op.params)
    if isinstance(op, Choice):
        return op.options
    if isinstance(op, Repeat):
        return (op.body, op.times)
    if isinstance(op, Graph):
        return tuple(part for node in op.nodes for part in (node.op, node.inputs))
    return ()
