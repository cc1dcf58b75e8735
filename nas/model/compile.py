"""From an architecture to a plain `nn.Module`: settle every shape, then write the module's source.

The blueprint holds no weights. The module that is trained and the one that is exported run the same source.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from nas.errors import CandidateError
from nas.model.count import Costs
from nas.model.network import Known, Settling
from nas.model.plan import Normalize, Plan, Units
from nas.model.write import write_source
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.flat import flatten
from nas.space.ports import Port, TaskInfo

_numbers = itertools.count()


@dataclass(frozen=True)
class Blueprint:
    """A network that is settled but has no weights yet.

    architecture: what it was made from.
    classes: the block classes, by the names that `source` calls them.
    shapes: path of a block -> what comes out of it; blocks of a graph inside a block have paths below that block's.
    costs: parameters learned, and operations and memory for one example.
    """

    architecture: Architecture
    task: TaskInfo
    plan: Plan
    classes: Mapping[str, type[nn.Module]]
    shapes: Mapping[str, Port]
    costs: Costs

    @cached_property
    def source(self) -> str:
        """The class `Network` as text, and those of graphs inside it: one line a block, no interpreter."""
        return write_source(self.plan)

    @cached_property
    def network_class(self) -> type[nn.Module]:
        """The class that `source` defines."""
        return _execute(self.source, self.classes, self.architecture.digest)

    @property
    def output_submodules(self) -> tuple[str, ...]:
        """Names of the submodules whose outputs are, or are summed to, the network's output."""
        first = len(self.plan.inputs)
        return tuple(self.plan.steps[term - first].submodule for term in self.plan.output if term >= first)

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
    memory: bool = True,
    normalize: Normalize | Units | None = None,
) -> Blueprint:
    """The settled network of an architecture for a task.

    With `simplify`, identities, sums and dead branches cost nothing: what the digest calls one network is one module.
    Without, every node is a submodule, as published tables count them, and a constant output is allowed.
    Without `memory` its costs do not tell what memory it takes, which halves the time where blocks are known.
    `normalize` makes the units of the data a part of the network: of its first input, or all `Units`.

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
    known = Known(registry, simplify=simplify, memory=memory)
    work = Settling(known, inputs, padding=task.padding)
    plan = work.plan(flat, architecture.graph)
    _check_output(plan.output_port, task)
    units = normalize if isinstance(normalize, Units) else Units((normalize,))
    units.check(task)
    plan = replace(plan, units=units, inner=tuple(known.inner.items()))
    return Blueprint(architecture, task, plan, known.classes, known.shapes, work.costs(plan.output_port))


def _check_output(output: Port, task: TaskInfo) -> None:
    if output != task.output:
        raise CandidateError(
            f"task {task.name!r} needs a {task.output} from the network, got {output}; "
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
