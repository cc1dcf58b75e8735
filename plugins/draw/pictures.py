"""The pictures that can be asked for: of a space by its name, of a trial of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import nas
from nas.errors import LedgerError
from nas.parts import Fitting
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry, parse_spec
from nas.record import read_record, stored_info
from nas.space.architecture import Architecture
from nas.space.ports import TaskInfo
from nas.space.space import Space

from .build import Annotate, Builder
from .picture import Box, Edge, Inside, Line, Picture
from .prune import prune

if TYPE_CHECKING:
    from nas.model import Blueprint


def picture_of_space(text: str, task: str | None = None, plugins: Sequence[str] = ()) -> Picture:
    """A registered space with its choices, for a task or the first built-in one that fits.

    Raises UnknownNameError, SpaceError or TaskError.
    """
    registry = create_manager(plugins).registry
    entry = registry.get("space", parse_spec(text)[0])
    _, info = Fitting(registry, task).task(entry.name if task is None else text)
    return draw_space(build_space(registry, text, info), info, entry.summary)


def draw_space(space: Space, info: TaskInfo, summary: str = "") -> Picture:
    """A space for a task's shapes: all blocks, what may be chosen, and how often things repeat."""
    decisions = f"{len(space.decisions)} decisions, {space.size:,} architectures"
    network = _ends(Builder().inside(space.graph), info)
    return Picture(space.name, "; ".join(filter(None, (summary.rstrip("."), decisions))), network)


def picture_of_run(folder: Path, number: int | None) -> Picture:
    """The network of a trial, by default the best one; raises LedgerError when there is none."""
    run = nas.load_run(folder)
    trial = run.best if number is None else next((t for t in run.trials if t.number == number), None)
    if trial is None:
        said = "no trial is complete yet" if number is None else f"there is no trial {number}"
        raise LedgerError(f"{folder}: {said}; it has {len(run.trials)} trials")
    registry = create_manager(run.config.plugins).registry
    task = stored_info(read_record(folder))
    pairs = zip(run.history.objectives, trial.values or (), strict=False)
    values = ", ".join(f"{objective.name} {value:.4g}" for objective, value in pairs)
    return draw_network(trial.architecture, task, registry, f"{run.config.space}, trial {trial.number}", values)


def draw_network(
    architecture: Architecture, info: TaskInfo, registry: Registry, title: str = "network", facts: str = ""
) -> Picture:
    """One network: its blocks with the shapes that come out and what they learn; what computes nothing is left out."""
    from nas.model import blueprint

    made = blueprint(architecture, info, registry)
    builder = Builder(_annotation(made))
    costs = f"{made.costs.params:,} parameters, {made.costs.flops:,} operations, {architecture.digest}"
    network = _ends(builder.inside(prune(architecture.graph)), info)
    decided = tuple(f"{label} = {option}" for label, option in architecture.decisions.items())
    return Picture(title, "; ".join(filter(None, (facts, costs))), network, decided)


def _ends(inside: Inside, info: TaskInfo) -> Inside:
    """The network between boxes for what comes in and what goes out."""
    starts = [
        Box(
            f"in {name}", "block", (Line(f"input {name}" if len(info.inputs) > 1 else "input", "name"), Line(str(port)))
        )
        for name, port in zip(inside.inputs, info.inputs, strict=True)
    ]
    end = Box("out", "block", (Line("output", "name"), Line(str(info.output))))
    into = {name: start.name for name, start in zip(inside.inputs, starts, strict=True)}
    names = {box.name for box in inside.boxes}
    edges = [
        edge if edge.source in names else edge._replace(source=into[edge.source])
        for edge in (*inside.edges, Edge(inside.output, end.name))
    ]
    return Inside((), (*starts, *inside.boxes, end), tuple(edges), end.name)


def _annotation(made: Blueprint) -> Annotate:
    """Lines for a path: the shape that comes out of the block there, and how many numbers are learned below it."""
    learned = _learned(made)

    def lines(path: str) -> tuple[Line, ...]:
        shape = made.shapes.get(path)
        found = (Line(" × ".join(map(str, shape.shape)), "faint"),) if shape is not None else ()
        count = sum(n for at, n in learned.items() if at == path or at.startswith(f"{path}/"))
        return (*found, Line(f"{count:,} parameters", "faint")) if count else found

    return lines


def _learned(made: Blueprint) -> Mapping[str, int]:
    """Path -> parameters of the block there."""
    network = made.build_meta()
    counts = {}
    for step in made.plan.steps:
        counts[step.path] = sum(p.numel() for p in network.get_submodule(step.submodule).parameters())
    return counts
