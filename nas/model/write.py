"""From a plan to source: the class `Network`, and those of graphs inside it; their forwards have one line a block."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence

from nas.model.dataflow import Operand, Statement, program, read_by
from nas.model.names import identifier, unused
from nas.model.parts import Part
from nas.model.plan import RESERVED, Normalize, Plan, Step
from nas.model.settle import shape_text
from nas.space.flat import Value
from nas.space.ports import Port

WIDTH = 120
INDENT = " " * 8


def write_source(plan: Plan) -> str:
    """The source of `Network` and, before it, of the graphs inside it; it needs `torch`, `nn` and the block classes."""
    return "\n\n".join(write_class(part, name) for name, part in (*plan.inner, ("Network", plan)))


def write_class(plan: Plan, name: str) -> str:
    """The source of one class."""
    coming = ", ".join(str(port) for port in plan.input_ports)
    lines = [
        f"class {name}(nn.Module):",
        f'    """{coming} -> {plan.output_port}."""',
        "",
        "    def __init__(self) -> None:",
        f"{INDENT}super().__init__()",
        *_buffers(plan),
        *_submodules(plan.steps),
        "",
        *_forward(plan),
    ]
    return "\n".join(lines) + "\n"


def literal(value: object) -> str:
    """A parameter's value as Python source.

    >>> literal((1, "relu", None, 0.5))
    '(1, "relu", None, 0.5)'
    """
    if isinstance(value, Part):
        return value.text
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _buffers(plan: Plan) -> Iterator[str]:
    for i, numbers in enumerate(plan.units.inputs):
        shape = "(-1, 1, 1)" if plan.input_ports[i].kind == "image" else "(-1)"
        yield from _unit_buffers(_unit(i), numbers, shape)
    yield from _unit_buffers("output", plan.units.output, "(-1)")


def _unit_buffers(name: str, numbers: Normalize | None, shape: str) -> Iterator[str]:
    for word, values in (("mean", numbers.mean), ("std", numbers.std)) if numbers is not None else ():
        items = [literal(float(value)) for value in values]
        yield from _wrapped(f'{INDENT}self.register_buffer("{name}_{word}", torch.tensor([', items, f"]).view{shape})")


def _unit(i: int) -> str:
    return f"input{i}" if i else "input"


def _submodules(steps: Sequence[Step]) -> Iterator[str]:
    group = ""
    for step in steps:
        if (folder := _folder(step.path)) != group:
            group = folder
            yield from _heading(folder)
        items = [f"{name}={literal(value)}" for name, value in step.arguments]
        yield from _wrapped(f"{INDENT}self.{step.submodule} = {step.cls}(", items, ")")


def _forward(plan: Plan) -> Iterator[str]:
    code = program(plan)
    scope = _Scope(plan)
    inputs = ", ".join(f"{scope.names[i,]}: torch.Tensor" for i in range(len(plan.inputs)))
    yield f"    def forward(self, {inputs}) -> torch.Tensor:"
    yield f'{INDENT}"""{", ".join(map(shape_text, plan.input_ports))} -> {shape_text(plan.output_port)}."""'
    for i, numbers in enumerate(plan.units.inputs):
        if numbers is not None:
            name, mean = scope.names[i,], f"self.{_unit(i)}_mean"
            yield f"{INDENT}{name} = ({name}.to({mean}.dtype) - {mean}) / self.{_unit(i)}_std"
    yield from scope.input_masks()
    group = ""
    for number, statement in enumerate(code.statements, start=1):
        if statement.step is not None and (folder := _folder(statement.step.path)) != group:
            group = folder
            yield from _heading(folder)
        last = number == len(code.statements) and code.output == (statement.target,) and plan.units.output is None
        yield from scope.lines(statement, returned=last)
    if plan.units.output is not None:
        yield f"{INDENT}return ({scope.added(code.output)}) * self.output_std + self.output_mean"
    elif not code.statements or code.output != (code.statements[-1].target,):
        yield f"{INDENT}return {scope.added(code.output)}"


class _Scope:
    """The local variables of forward. A name is free again when nothing reads its value any more, as is its memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.names: dict[Value, str] = {}
        for i, name in enumerate(plan.inputs):
            self.names[i,] = unused(identifier(name), RESERVED | set(self.names.values()))
        self.masks: dict[int, str] = {}
        self.wanted = {mask for step in plan.steps if step.masks for mask in step.masks.of if mask is not None}

    @property
    def taken(self) -> set[str]:
        """Names that are in use."""
        return {*RESERVED, *self.names.values(), *self.masks.values()}

    def input_masks(self) -> Iterator[str]:
        """Which positions of inputs are no padding; the first never is, so that an empty text is one of padding."""
        for i in sorted(i for i in self.wanted if i < len(self.plan.inputs)):
            name = self.names[i,]
            self.masks[i] = unused(f"{name}_mask", self.taken)
            told = f"nn.functional.pad({name}[:, 1:] != {self.plan.padding}, (1, 0), value=True)"
            yield f"{INDENT}{self.masks[i]} = {told}  # {shape_text(self.plan.port(i))}, False at padding"

    def lines(self, statement: Statement, *, returned: bool) -> Iterator[str]:
        """The statement with a comment that tells its shape."""
        operands = list(self._operands(statement))
        if statement.step is not None and (masks := statement.step.masks) is not None:
            told = ["None" if mask is None else self.masks[mask] for mask in masks.of]
            inside = told[0] if masks.word == "mask" else f"({', '.join(told)}{',' * (len(told) == 1)})"
            operands.append(f"{masks.word}={inside}")
            if masks.made and (number := statement.target[-1]) in self.wanted:
                short = identifier(f"{statement.step.path.rpartition('/')[2]}_mask")
                self.masks[number] = unused(short, self.taken)
                call = f"self.{statement.step.submodule}.output_mask("
                yield from _wrapped(f"{INDENT}{self.masks[number]} = {call}", operands, ")")
        for variable in statement.ends - {statement.target}:
            self.names.pop(variable, None)
        left = "return" if returned else f"{self._name(statement)} ="
        shape = f"  # {shape_text(self.plan.port(statement.target[-1]))}"
        if statement.step is None:
            yield f"{INDENT}{left} {operands[0]}{shape}"
        else:
            yield from _wrapped(f"{INDENT}{left} self.{statement.step.submodule}(", operands, f"){shape}")

    def added(self, operand: Operand) -> str:
        """The sum of variables as an expression."""
        return " + ".join(self.names[variable] for variable in operand)

    def _operands(self, statement: Statement) -> Iterator[str]:
        for number, operand in enumerate(statement.operands):
            if operand:
                yield self.added(operand)
            else:
                assert statement.step is not None
                batch = self.names[min(read_by(statement.operands))]
                yield _zeros(batch, statement.step.incoming[number])

    def _name(self, statement: Statement) -> str:
        """The last part of the path, or all of it while that name is in use."""
        if statement.step is not None:
            path, short = statement.step.path, statement.step.path.rpartition("/")[2]
        else:
            folder = _folder(self.plan.steps[max(statement.target) - len(self.plan.inputs)].path)
            path, short = f"{folder}/sum", f"{folder.rpartition('/')[2]}_sum" if folder else "added"
        name = identifier(short)
        if name in self.taken:
            name = unused(identifier(path), self.taken)
        self.names[statement.target] = name
        return name


def _zeros(like: str, port: Port) -> str:
    sizes = ", ".join(map(str, port.shape))
    kind = ", dtype=torch.int64" if port.kind == "tokens" else ""
    return f"{like}.new_zeros({like}.shape[0], {sizes}{kind})"


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _heading(folder: str) -> Iterator[str]:
    yield ""
    if folder:
        yield f"{INDENT}# {folder}"


def _wrapped(before: str, items: Iterable[str], after: str) -> Iterator[str]:
    """One line, or one line an item where that would be too long."""
    items = list(items)
    line = f"{before}{', '.join(items)}{after}"
    if len(line) <= WIDTH or not items:
        yield line
        return
    yield before
    yield from (f"{INDENT}    {item}," for item in items)
    yield f"{INDENT}{after}"
