"""From an architecture to a plain `nn.Module`: settle every shape, then write the module's source.

The blueprint holds no weights. The module that is trained and the one that is exported run the same source.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from nas.errors import CandidateError
from nas.model.count import Costs
from nas.model.names import attribute, unused
from nas.model.plan import RESERVED, Normalize, Plan, Step
from nas.model.settle import settle
from nas.model.write import write_class
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.flat import Flat, Term, Value, flatten
from nas.space.ports import Port, TaskInfo

_numbers = itertools.count()


@dataclass(frozen=True)
class Blueprint:
    """A network that is settled but has no weights yet.

    architecture: what it was made from.
    classes: the block classes, by the names that `source` calls them.
    shapes: path of a block -> what comes out of it.
    costs: parameters learned, and operations for one example.
    """

    architecture: Architecture
    task: TaskInfo
    plan: Plan
    classes: Mapping[str, type[nn.Module]]
    shapes: Mapping[str, Port]
    costs: Costs

    @cached_property
    def source(self) -> str:
        """The class `Network` as text: one line a block, no interpreter."""
        return write_class(self.plan)

    @cached_property
    def network_class(self) -> type[nn.Module]:
        """The class that `source` defines."""
        return _execute(self.source, self.classes, self.architecture.digest)

    def build(self) -> nn.Module:
        """A new module with fresh weights, in training mode, on PyTorch's default device."""
        return self.network_class()

    def build_meta(self) -> nn.Module:
        """The module without memory, on the meta device."""
        with torch.device("meta"):
            return self.network_class()


def blueprint(
    architecture: Architecture,
    task: TaskInfo,
    registry: Registry,
    *,
    simplify: bool = True,
    normalize: Normalize | None = None,
) -> Blueprint:
    """The settled network of an architecture for a task.

    With `simplify`, identities, sums and dead branches cost nothing: what the digest calls one network is one module.
    Without, every node is a submodule, as published tables count them, and a constant output is allowed.

    Raises CandidateError, with the path of the node, for what cannot be built: a block that raises, a sum of different
    shapes, an output that does not depend on the input or is not shaped as the task asks. Raises TaskError for numbers
    of normalisation that do not fit the task's input.
    """
    inputs = task.inputs
    if len(architecture.graph.inputs) != len(inputs):
        names = ", ".join(architecture.graph.inputs)
        raise CandidateError(f"the architecture takes {names}, and task {task.name!r} gives {len(inputs)} inputs")
    flat = flatten(architecture.graph, simplify=simplify)
    if simplify and not flat.reads_input:
        raise CandidateError(
            "the network computes a constant: no path without a zero leads from its input to its output"
        )
    work = _Settling(registry, inputs)
    steps = work.steps(flat, architecture if simplify else None)
    output = work.added(flat.output, "the output")
    _check_output(output, task)
    if normalize is not None:
        normalize.check(task)
    plan = Plan(flat.inputs, inputs, tuple(steps), flat.output, output, normalize)
    shapes = {step.path: step.output for step in steps}
    return Blueprint(architecture, task, plan, work.classes, shapes, work.costs)


class _Settling:
    """Goes through the terms in their order; knows the port of each and the names that are given."""

    def __init__(self, registry: Registry, inputs: Sequence[Port]) -> None:
        self.registry = registry
        self.inputs = inputs
        self.ports: list[Port] = list(inputs)
        self.paths: list[str] = [f"input {i}" for i in range(len(inputs))]
        self.classes: dict[str, type[nn.Module]] = {}
        self.costs = Costs(0, 0)
        self._targets: dict[str, tuple[type[nn.Module], str]] = {}

    def steps(self, flat: Flat, architecture: Architecture | None) -> list[Step]:
        """One step a term; `architecture` tells the shapes of inputs that simplification found to be zero."""
        made: list[Step] = []
        attributes: set[str] = set()
        params = flops = 0
        written: Mapping[str, Sequence[Port]] | None = None
        for term in flat.terms:
            if not all(term.ports) and written is None:
                assert architecture is not None
                written = _as_written(architecture, self.registry, self.inputs)
            zeros = written[term.path] if written is not None else ()
            incoming = self.incoming(term, zeros)
            cls, name = self.cls(term)
            settled = settle(term.block, cls, incoming, term.path)
            attributes.add(submodule := attribute(term.path, attributes))
            made.append(Step(term.path, submodule, name, settled.arguments, term.ports, incoming, settled.output))
            self.ports.append(settled.output)
            self.paths.append(term.path)
            params += settled.costs.params
            flops += settled.costs.flops
        self.costs = Costs(params, flops)
        return made

    def incoming(self, term: Term, zeros: Sequence[Port]) -> tuple[Port, ...]:
        """The port of each input of a term."""
        ports = self.ports
        return tuple(
            ports[value[0]] if len(value) == 1 else self.added(value, term.path) if value else zeros[number]
            for number, value in enumerate(term.ports)
        )

    def added(self, value: Value, path: str) -> Port:
        """The port of a sum; raises CandidateError when its terms have different shapes."""
        if not value:
            raise CandidateError(f"{path} is zero whatever comes in")
        first = self.ports[value[0]]
        for i in value[1:]:
            if self.ports[i] != first:
                raise CandidateError(
                    f"{path} adds values of one shape, got {first} from {self.paths[value[0]]} "
                    f"and {self.ports[i]} from {self.paths[i]}"
                )
        return first

    def cls(self, term: Term) -> tuple[type[nn.Module], str]:
        """The class of a term's block and the name it has in the source."""
        block = term.block.name
        if block not in self._targets:
            cls = self.registry.get("block", block).load()
            if not isinstance(cls, type) or not issubclass(cls, nn.Module):
                raise CandidateError(f"{term.path}: expected block {block!r} to be a class of nn.Module, got {cls!r}")
            name = next((name for name, known in self.classes.items() if known is cls), None)
            if name is None:
                name = unused(cls.__name__, RESERVED | self.classes.keys())
                self.classes[name] = cls
            self._targets[block] = (cls, name)
        return self._targets[block]


def _as_written(architecture: Architecture, registry: Registry, inputs: Sequence[Port]) -> Mapping[str, Sequence[Port]]:
    """Path -> ports that come in, before anything is simplified away."""
    steps = _Settling(registry, inputs).steps(flatten(architecture.graph, simplify=False), None)
    return {step.path: step.incoming for step in steps}


def _check_output(output: Port, task: TaskInfo) -> None:
    if output != Port("vector", (task.outputs,)):
        raise CandidateError(
            f"task {task.name!r} needs a vector (D={task.outputs}) from the network, got {output}; "
            f"let it end in a head with {task.outputs} outputs"
        )


def _execute(source: str, classes: Mapping[str, type[nn.Module]], digest: str) -> type[nn.Module]:
    """The class that `source` defines; tracebacks show its lines as long as it lives."""
    filename = f"<network {digest} {next(_numbers)}>"
    space: dict[str, Any] = {"__name__": "nas.generated", "torch": torch, "nn": nn, **classes}
    exec(compile(source, filename, "exec"), space)
    made: type[nn.Module] = space["Network"]
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    weakref.finalize(made, linecache.cache.pop, filename, None)
    return made
