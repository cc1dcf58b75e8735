"""What is settled about a network and what its source is written from."""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import TaskError
from nas.model.parts import Arguments
from nas.space.flat import Value
from nas.space.ports import Port, TaskInfo

RESERVED = frozenset({"Network", "load", "nn", "torch", "self"})
"""Names that generated source keeps for itself."""


@dataclass(frozen=True, slots=True)
class Masks:
    """What a block hears of padding: for each port the term whose mask goes with it, None where nothing is padding.

    word: the argument of its forward, ``mask``, of its first port, or ``masks``, of all.
    made: whether the block's own method `output_mask` says which positions of its output are no padding.
    """

    word: str
    of: tuple[int | None, ...]
    made: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One block of the network: its submodule's name, its class and arguments, the value on each of its ports."""

    path: str
    submodule: str
    cls: str
    arguments: Arguments
    ports: tuple[Value, ...]
    incoming: tuple[Port, ...]
    output: Port
    masks: Masks | None = None


@dataclass(frozen=True, slots=True)
class Normalize:
    """Mean and standard deviation of a raw input, one number a channel (or feature), or of values to be told."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def check(self, port: Port, task: str) -> None:
        """Raises TaskError unless there is one number a channel of `port` and no deviation is zero."""
        if port.kind == "tokens":
            raise TaskError(f"task {task!r}: tokens cannot be normalised; give no numbers of normalisation")
        for word, numbers in (("means", self.mean), ("deviations", self.std)):
            if len(numbers) != port.width:
                raise TaskError(f"task {task!r}: expected {port.width} {word} for {port}, got {len(numbers)}")
        if min(self.std) <= 0:
            raise TaskError(f"task {task!r}: expected deviations above 0, got {min(self.std)}")


@dataclass(frozen=True, slots=True)
class Units:
    """The units of the data, as part of a network: it takes raw inputs and gives values as the data have them.

    inputs: for each input what is subtracted from it and what it is divided by; None and missing: nothing.
    output: what the network's values are multiplied by, and what is then added.
    """

    inputs: tuple[Normalize | None, ...] = ()
    output: Normalize | None = None

    def check(self, task: TaskInfo) -> None:
        """Raises TaskError for numbers that do not fit the task's inputs and output."""
        for numbers, port in zip(self.inputs, task.inputs, strict=False):
            if numbers is not None:
                numbers.check(port, task.name)
        if self.output is not None:
            self.output.check(task.output, task.name)

    def __bool__(self) -> bool:
        return any(self.inputs) or self.output is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """A network's steps in the order they run.

    Values are as in `nas.space.flat`: numbers below ``len(inputs)`` are inputs, the others steps. `inner` are the
    graphs that blocks take as parameters, by the names of their classes, each before those that use it. `padding` is
    the token that fills up the inputs that steps want a mask of.
    """

    inputs: tuple[str, ...]
    input_ports: tuple[Port, ...]
    steps: tuple[Step, ...]
    output: Value
    output_port: Port
    units: Units = Units()
    inner: tuple[tuple[str, Plan], ...] = ()
    padding: int | None = None

    def port(self, term: int) -> Port:
        """The port of an input or of a step's output."""
        k = len(self.inputs)
        return self.input_ports[term] if term < k else self.steps[term - k].output
