"""What one block becomes for the shapes that come in: its constructor's arguments, output shape and costs.

Everything is found on the meta device, which takes no memory and does no arithmetic, and remembered: a candidate is
mostly made of blocks that were seen before, so that checking it is a few look-ups.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nas.errors import BlockError
from nas.model.count import count_learned, submodules
from nas.model.footprint import Footprint, Keeping, differentiable, unknown
from nas.model.meta import Counting, Making
from nas.model.parts import Arguments, Part, flops_inside, made
from nas.space.graph import Block
from nas.space.ports import KINDS, SAME, Port, kinds_of, kinds_text

Ports = tuple[Port, ...]
Key = tuple[type[nn.Module], str, "_Place"]

REMEMBERED = 20_000
LARGER = 8
"""How many times as large an image or a sequence is tried, to tell whether its size is why a block cannot take it."""
DROPOUTS = nn.modules.dropout._DropoutNd


@dataclass(frozen=True, slots=True)
class Settled:
    """A block that fits: what its class is called with, what comes out, what it learns, computes and keeps."""

    arguments: Arguments
    output: Port
    params: int
    flops: int
    footprint: Footprint


_known: dict[Key, Settled] = {}
_constructed: set[tuple[type[nn.Module], Arguments]] = set()


def settle(
    block: Block,
    cls: type[nn.Module],
    inputs: Ports,
    path: str,
    *,
    graph: Ports | None = None,
    graphs: Arguments = (),
    tied_to: Part | None = None,
) -> Settled:
    """The block `cls` for these inputs; raises BlockError, naming `path`, where it cannot take them.

    graph: what flows into the graph that it stands in; the block's own inputs where it stands alone.
    graphs: its parameters that are graphs, as parts.  tied_to: the block behind its last input of several.
    """
    around = (graph or inputs) if "graph_features" in _constructor(cls) else ()
    place = _Place(inputs, around, graphs, tied_to)
    key = (cls, block.label, place)
    found = _known.get(key)
    if found is None:
        found = _settle(block, cls, place, path)
        if len(_known) >= REMEMBERED:
            _known.clear()
        _known[key] = found
    return found


def construct(block: Block, cls: type[nn.Module], inputs: Ports, path: str, *, graph: Ports) -> None:
    """Asks the constructor alone, a tenth of the time; raises BlockError, in the words of `settle`, where it refuses.

    For blocks without graphs among their parameters that share no weights.
    """
    _check_kinds(block, inputs, path)
    try:
        arguments = _arguments(block, cls, _Place(inputs, graph))
        if (cls, arguments) not in _constructed:
            with Making():  # type: ignore[no-untyped-call]
                cls(**made(arguments))
            _note(cls, arguments)
    except Exception as error:
        raise _unfit(block, inputs, path, error) from error


def forget() -> None:
    """Settles every block anew from here on, as in a new process."""
    _known.clear()
    _constructed.clear()


def ties(cls: type[nn.Module]) -> bool:
    """Whether the class shares the weights of the block that gives its last input."""
    return "tied_to" in _constructor(cls)


def mask_word(cls: type[nn.Module]) -> str:
    """What the class's forward calls the masks it takes: ``mask``, that of its first input, ``masks``, or nothing."""
    if cls not in _mask_words:
        taken = inspect.signature(cls.forward).parameters
        _mask_words[cls] = next((word for word in ("masks", "mask") if word in taken), "")
    return _mask_words[cls]


def graph_ports(block: Block, cls: type[nn.Module], inputs: Ports, name: str, path: str) -> Ports:
    """What flows into the graph that is parameter `name` of a block: what its class's ``<name>_inputs`` says.

    Raises BlockError where the class says nothing, or what it says is no list of ports.
    """
    try:
        said = getattr(cls, f"{name}_inputs", None)
        if said is None:
            raise _UnfitError(f"its class {cls.__name__} takes no graph as {name!r}: it has no method '{name}_inputs'")
        known = {**_constructor(cls), **_declared(block), **_filled(cls, _Place(inputs, inputs))}
        asked = {key: known[key] for key in inspect.signature(said).parameters}
        return tuple(Port(kind, tuple(shape)) for kind, shape in said(**asked))
    except Exception as error:
        raise _unfit(block, inputs, path, error) from error


def meta_inputs(ports: Sequence[Port], batch: int) -> list[Tensor]:
    """Tensors without memory, shaped as `ports`."""
    return [torch.empty((batch, *port.shape), dtype=dtype_of(port), device="meta") for port in ports]


def dtype_of(port: Port) -> torch.dtype:
    """Tokens are integers, all else is floating point."""
    return torch.int64 if port.kind == "tokens" else torch.float32


def shape_text(port: Port) -> str:
    """A port's shape as people write it.

    >>> shape_text(Port("image", (16, 32, 32)))
    '(B, 16, 32, 32)'
    """
    return f"({', '.join(['B', *map(str, port.shape)])})"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a block stands: what comes in, what comes into its graph, and the modules that it is given."""

    inputs: Ports
    graph: Ports
    graphs: Arguments = ()
    tied_to: Part | None = None


def _settle(block: Block, cls: type[nn.Module], place: _Place, path: str) -> Settled:
    _check_kinds(block, place.inputs, path)
    try:
        return _settled(block, cls, place)
    except Exception as error:
        raise _unfit(block, place.inputs, path, error, of_size=_fits_larger(block, cls, place)) from error


def _settled(block: Block, cls: type[nn.Module], place: _Place) -> Settled:
    inputs = place.inputs
    arguments = _arguments(block, cls, place)
    with Making():  # type: ignore[no-untyped-call]
        module = cls(**made(arguments))
    _note(cls, arguments)
    parts = submodules(module)
    for part in parts:
        part.__dict__["training"] = isinstance(part, DROPOUTS)  # masks are kept; else evaluation's shapes are these
    examples = differentiable(meta_inputs(inputs, 2))
    given, counting, keeping = _run(module, parts, examples)
    output = _output(block, given, inputs)
    footprint = keeping.footprint(examples, given, counting) if keeping else unknown(examples, counting)
    flops = (counting.flops + flops_inside(parts)) // 2
    return Settled(arguments, output, count_learned(parts), flops, footprint)


def _fits_larger(block: Block, cls: type[nn.Module], place: _Place) -> bool:
    """Whether the block takes the same widths when images and sequences are larger."""
    larger = tuple(Port(port.kind, _grown(port)) for port in place.inputs)
    if place.graphs or larger == place.inputs:
        return False
    try:
        _settled(block, cls, replace(place, inputs=larger))
    except Exception:  # whatever it raises, it is not the size alone
        return False
    return True


def _grown(port: Port) -> tuple[int, ...]:
    """The port's shape with LARGER times its height and width, or length."""
    axes = zip(KINDS[port.kind], port.shape, strict=True)
    return tuple(size * LARGER if axis in ("H", "W", "L") else size for axis, size in axes)


def _run(
    module: nn.Module, parts: Sequence[nn.Module], inputs: Sequence[Tensor]
) -> tuple[Any, Counting, Keeping | None]:
    """What the module of these parts gives, its operations, and what it keeps, where autograd says so."""
    keeping = Keeping(parts)
    try:
        with keeping.watching(), Counting() as counting:
            given = module(*inputs)
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        flops_inside(parts)  # what was counted until then
        with torch.no_grad(), Counting() as counting:
            given = module(*inputs)
        return given, counting, None  # it takes gradients of its own, by torch.func
    return given, counting, keeping


def _note(cls: type[nn.Module], arguments: Arguments) -> None:
    if len(_constructed) >= REMEMBERED:
        _constructed.clear()
    _constructed.add((cls, arguments))


def _unfit(block: Block, inputs: Ports, path: str, error: Exception, *, of_size: bool = False) -> BlockError:
    coming = " and ".join(map(str, inputs))
    told = isinstance(error, _UnfitError | ValueError) and str(error)  # blocks say by ValueError what would fit
    why = str(error) if told else f"{type(error).__name__}: {error}"
    return BlockError(f"{path}: block {block} cannot take {coming}: {why}", path, of_size=of_size)


class _UnfitError(Exception):
    """Why a block cannot be built, in words that need no name of an exception before them."""


def _check_kinds(block: Block, inputs: Sequence[Port], path: str) -> None:
    signature = block.signature
    ports = list(signature.ports)
    if signature.variadic and len(inputs) >= len(ports):
        ports += [ports[-1]] * (len(inputs) - len(ports))
    if len(ports) != len(inputs):
        raise BlockError(f"{path}: block {block} takes {len(ports)} inputs, got {len(inputs)}", path, of_size=False)
    for number, (kinds, port) in enumerate(zip(ports, inputs, strict=True)):
        if port.kind not in kinds:
            text = f"{path}: block {block} takes {kinds_text(kinds)} at input {number}, got {port}"
            raise BlockError(text, path, of_size=False)
    if signature.traits.role == "sum" and len(set(inputs)) > 1:
        shapes = ", ".join(dict.fromkeys(map(str, inputs)))
        of_size = len({(port.kind, port.width) for port in inputs}) == 1
        raise BlockError(f"{path}: block {block} adds values of one shape, got {shapes}", path, of_size=of_size)


def _output(block: Block, given: object, inputs: Sequence[Port]) -> Port:
    """The port of a block's output for a batch of 2; raises _UnfitError when it is none that was declared."""
    if not isinstance(given, Tensor):
        raise _UnfitError(f"expected one tensor from its forward, got a {type(given).__name__}")
    word = block.signature.output
    kinds = frozenset({inputs[0].kind}) if word == SAME else kinds_of(word)
    for kind in sorted(kinds):
        if given.dim() == 1 + len(KINDS[kind]) and given.shape[0] == 2 and _is_float(given) == (kind != "tokens"):
            return Port(kind, tuple(given.shape[1:]))  # type: ignore[arg-type]
    axes = " or ".join(f"{kind} (B, {', '.join(KINDS[kind])})" for kind in sorted(kinds))
    raise _UnfitError(f"expected {axes} from its forward, got {tuple(given.shape)} of {given.dtype} for B = 2")


def _is_float(given: Tensor) -> bool:
    return given.dtype.is_floating_point


def _arguments(block: Block, cls: type[nn.Module], place: _Place) -> Arguments:
    """What `cls` is called with: what it asks to be filled, and parameters that differ from its own defaults."""
    defaults = _constructor(cls)
    filled = _filled(cls, place)
    parameters = _declared(block) | dict(place.graphs)
    for name in parameters:
        if name not in defaults or name in FILLED:
            taken = ", ".join(name for name in defaults if name not in FILLED) or "none"
            raise _UnfitError(f"its class {cls.__name__} has no parameter {name!r} to give; it takes {taken}")
    for name, default in defaults.items():
        if default is inspect.Parameter.empty and name not in filled and name not in parameters:
            raise _UnfitError(f"its class {cls.__name__} asks for {name!r}, which the block does not declare")
    given = {name: value for name, value in parameters.items() if not _same(value, defaults[name])}
    return (*filled.items(), *((name, given[name]) for name in defaults if name in given))


def _declared(block: Block) -> dict[str, object]:
    return {**block.signature.parameters, **dict(block.params)}


def _filled(cls: type[nn.Module], place: _Place) -> dict[str, object]:
    defaults = _constructor(cls)
    filled = {name: FILLED[name](place) for name in defaults if name in FILLED}
    return {name: value for name, value in filled.items() if not _same(value, defaults[name])}


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and value == default


_constructors: WeakKeyDictionary[type[nn.Module], Mapping[str, object]] = WeakKeyDictionary()


_mask_words: WeakKeyDictionary[type[nn.Module], str] = WeakKeyDictionary()


def _constructor(cls: type[nn.Module]) -> Mapping[str, object]:
    """The names that the constructor takes, with their defaults."""
    found = _constructors.get(cls)
    if found is None:
        by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = list(inspect.signature(cls).parameters.values())
        found = _constructors[cls] = {p.name: p.default for p in parameters if p.kind in by_name}
    return found


def _axis(kinds: tuple[str, ...], axis: int, name: str) -> Callable[[_Place], object]:
    def read(place: _Place) -> int:
        first = place.inputs[0]
        if first.kind not in kinds:
            raise _UnfitError(f"its class asks for {name!r}, which only {kinds_text(kinds)} has")
        return first.shape[axis]

    return read


FILLED: dict[str, Callable[[_Place], object]] = {
    "in_channels": _axis(("image",), 0, "in_channels"),
    "in_features": _axis(("sequence", "vector"), -1, "in_features"),
    "in_length": _axis(("sequence", "tokens"), 0, "in_length"),
    "in_shape": lambda place: place.inputs[0].shape,
    "in_shapes": lambda place: tuple(port.shape for port in place.inputs),
    "graph_features": lambda place: place.graph[-1].width,
    "tied_to": lambda place: place.tied_to,
}
"""Arguments that are filled from where the block stands, never by a space."""
