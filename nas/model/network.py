"""Settling a whole graph: one step a block, graphs that are parameters of blocks before the blocks that take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from nas.errors import BlockError, CandidateError
from nas.model.count import Costs
from nas.model.footprint import Adding
from nas.model.names import attribute, class_name, unused
from nas.model.parts import Arguments, Part, StandIn
from nas.model.plan import RESERVED, Masks, Plan, Step
from nas.model.settle import graph_ports, mask_word, settle, ties
from nas.plugin.registry import Registry
from nas.space.flat import Flat, Term, Value, flatten
from nas.space.graph import Graph
from nas.space.ports import Port

Ports = tuple[Port, ...]


class Known:
    """What a network's graph and the graphs inside it share: the names that are given, and what they stand for."""

    def __init__(self, registry: Registry, *, simplify: bool, memory: bool = True) -> None:
        self.registry = registry
        self.simplify = simplify
        self.memory = memory
        self.classes: dict[str, type[nn.Module]] = {}
        self.inner: dict[str, Plan] = {}
        self.shapes: dict[str, Port] = {}
        self._parts: dict[tuple[Graph, Ports], tuple[Part, Plan]] = {}
        self._targets: dict[str, tuple[type[nn.Module], str, bool]] = {}

    def cls(self, block: str, path: str) -> tuple[type[nn.Module], str, bool]:
        """The class of a block, the name it has in the source, and whether it shares weights of another block."""
        if block not in self._targets:
            cls = self.registry.get("block", block).load()
            if not isinstance(cls, type) or not issubclass(cls, nn.Module):
                raise CandidateError(f"{path}: expected block {block!r} to be a class of nn.Module, got {cls!r}")
            name = next((name for name, known in self.classes.items() if known is cls), None)
            if name is None:
                name = self._unused(cls.__name__)
                self.classes[name] = cls
            self._targets[block] = (cls, name, ties(cls))
        return self._targets[block]

    def part(self, graph: Graph, ports: Ports, path: str) -> Part:
        """A graph that is a parameter, and what flows into it, as a class of its own; one for all that are equal."""
        if (graph, ports) not in self._parts:
            self._parts[graph, ports] = self._part(graph, ports, path)
        part, plan = self._parts[graph, ports]
        self.shapes |= {f"{path}/{step.path}": step.output for step in plan.steps}
        return part

    def _part(self, graph: Graph, ports: Ports, path: str) -> tuple[Part, Plan]:
        if len(graph.inputs) != len(ports):
            raise CandidateError(f"{path}: the graph takes {', '.join(graph.inputs)}, and {len(ports)} values come in")
        flat = flatten(graph, simplify=self.simplify)
        if self.simplify and not any(0 in value for value in (flat.output, *(p for t in flat.terms for p in t.ports))):
            raise CandidateError(f"{path}: nothing leads from {graph.inputs[0]!r} to the graph's output")
        work = Settling(self, ports, path)
        plan = work.plan(flat, graph)
        name = self._unused(class_name(path))
        self.inner[name] = plan
        assert work.memory is not None  # what a graph inside keeps belongs to what its block is remembered by
        costs = (("params", work.params), ("flops", work.flops), ("footprint", work.memory.footprint(flat.output)))
        arguments = (("inputs", ports), ("output", plan.output_port), *costs)
        return Part(f"{name}()", StandIn, arguments), plan

    def _unused(self, name: str) -> str:
        return unused(name, RESERVED | self.classes.keys() | self.inner.keys())


class Settling:
    """Goes through the terms of one graph in their order; knows the port of each.

    path: where the graph stands when it is a parameter of a block.
    padding: the token that fills up its token inputs, if any.
    """

    def __init__(self, known: Known, inputs: Ports, path: str = "", padding: int | None = None) -> None:
        self.known = known
        self.inputs = inputs
        self.path = path
        self.padding = padding
        self.ports: list[Port] = list(inputs)
        padded = padding is not None
        self.masks = [i if padded and port.kind == "tokens" else None for i, port in enumerate(inputs)]
        self.paths: list[str] = [f"input {i}" for i in range(len(inputs))]
        self.steps: list[Step] = []
        self.params = self.flops = 0
        self.memory = Adding(inputs) if known.memory or path else None
        self._attributes: set[str] = set()

    def costs(self, output: Port) -> Costs:
        """Of all terms, as a network that gives `output`."""
        if self.memory is None:
            return Costs(self.params, self.flops)
        return Costs(self.params, self.flops, self.memory.training(output), self.memory.evaluating(output))

    def plan(self, flat: Flat, graph: Graph) -> Plan:
        """All of `flat` settled; `graph` tells the shapes of inputs that simplification found to be zero."""
        self.settle(flat, graph)
        output = self.added(flat.output, "the output", ": ")
        return Plan(flat.inputs, self.inputs, tuple(self.steps), flat.output, output, padding=self.padding)

    def settle(self, flat: Flat, graph: Graph) -> None:
        """One step a term."""
        written: Mapping[str, Sequence[Port]] | None = None
        for term in flat.terms:
            if not all(term.ports) and written is None:
                written = self._as_written(graph)
            self._settle(term, self._incoming(term, written[term.path] if written is not None else ()))

    def _settle(self, term: Term, incoming: Ports) -> None:
        path = self.at(term.path)
        cls, name, tying = self.known.cls(term.block.name, path)
        settled = settle(
            term.block,
            cls,
            incoming,
            path,
            graph=self.inputs,
            graphs=self._graphs(term, cls, incoming),
            tied_to=self._tied_to(term) if tying else None,
        )
        self._attributes.add(submodule := attribute(term.path, self._attributes))
        masks = self._masks(term, cls, incoming, settled.output)
        self.steps.append(
            Step(term.path, submodule, name, settled.arguments, term.ports, incoming, settled.output, masks)
        )
        self.ports.append(settled.output)
        self.paths.append(path)
        self.known.shapes[path] = settled.output
        self.params += settled.params
        self.flops += settled.flops
        if self.memory is not None:
            name = term.path.rpartition("/")[2]
            self.memory.add(settled.footprint, name, term.ports, incoming, settled.output)

    def _masks(self, term: Term, cls: type[nn.Module], incoming: Ports, output: Port) -> Masks | None:
        """What the term hears of padding; its output's mask is noted.

        A sequence as long as the first input has that one's mask, unless the class has a method `output_mask`.
        """
        if self.padding is None:
            self.masks.append(None)
            return None
        of = tuple(self._mask(value) for value in term.ports)
        word = mask_word(cls)
        heard = Masks(word, of if word == "masks" else of[:1], made=hasattr(cls, "output_mask")) if word else None
        heard = heard if heard is not None and any(mask is not None for mask in heard.of) else None
        if heard is not None and heard.made:
            self.masks.append(len(self.ports))
        else:
            alike = output.kind in ("sequence", "tokens") and output.shape[0] == incoming[0].shape[0]
            self.masks.append(of[0] if alike else None)
        return heard

    def _mask(self, value: Value) -> int | None:
        """The term whose mask a value has; a sum has the mask of its terms where they have only one."""
        found = {mask for i in value if (mask := self.masks[i]) is not None}
        return found.pop() if len(found) == 1 else None

    def _graphs(self, term: Term, cls: type[nn.Module], incoming: Ports) -> Arguments:
        """The term's parameters that are graphs, as modules."""
        found = []
        for name, value in term.block.params:
            if type(value) is Graph:
                path = f"{self.at(term.path)}/{name}"
                ports = graph_ports(term.block, cls, incoming, name, path)
                found.append((name, self.known.part(value, ports, path)))
        return tuple(found)

    def _tied_to(self, term: Term) -> Part | None:
        """The block that gives the last of several inputs."""
        last, k = term.ports[-1], len(self.inputs)
        if len(term.ports) == 1:
            return None
        if len(last) != 1 or last[0] < k:
            raise CandidateError(
                f"{self.at(term.path)}: block {term.block} shares the weights of the block that gives its last input, "
                "which must come straight from one block"
            )
        step = self.steps[last[0] - k]
        return Part(f"self.{step.submodule}", self.known.classes[step.cls], step.arguments)

    def _incoming(self, term: Term, zeros: Sequence[Port]) -> Ports:
        """The port of each input of a term."""
        ports = self.ports
        return tuple(
            [
                ports[value[0]] if len(value) == 1 else self.added(value, term.path) if value else zeros[number]
                for number, value in enumerate(term.ports)
            ]
        )

    def added(self, value: Value, place: str, between: str = "/") -> Port:
        """The port of a sum at a place in the graph; raises CandidateError when its terms have different shapes."""
        if not value:
            raise CandidateError(f"{self.at(place, between)} is zero whatever comes in")
        ports = self.ports
        first = ports[value[0]]
        for i in value[1:]:
            if ports[i] is not first and ports[i] != first:
                where, other = self.at(place, between), ports[i]
                raise BlockError(
                    f"{where} adds values of one shape, got {first} from {self.paths[value[0]]} "
                    f"and {other} from {self.paths[i]}",
                    where,
                    of_size=(first.kind, first.width) == (other.kind, other.width),
                )
        return first

    def at(self, place: str, between: str = "/") -> str:
        """A place in this graph as messages call it."""
        return f"{self.path}{between}{place}" if self.path else place

    def _as_written(self, graph: Graph) -> Mapping[str, Sequence[Port]]:
        """Path -> ports that come in, before anything is simplified away."""
        work = Settling(Known(self.known.registry, simplify=False), self.inputs, self.path)
        work.settle(flatten(graph, simplify=False), graph)
        return {step.path: step.incoming for step in work.steps}
