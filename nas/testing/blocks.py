"""What every block must be: as declared, numerically what its traits say, readable on its own."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from nas.errors import CandidateError
from nas.space.graph import Role, Signature
from nas.space.ports import SAME, Kind, Port, kinds_of
from nas.testing.case import Case

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.model.settle import Settled

SHAPES: dict[str, tuple[int, ...]] = {"image": (16, 8, 8), "sequence": (8, 16), "tokens": (8,), "vector": (16,)}
"""What blocks are fed with: sizes that powers of two divide."""

BATCH = 2
SEED = 0


@dataclass(frozen=True)
class Fed:
    """A block and the ports of what it is fed with."""

    case: Case
    ports: tuple[Port, ...]

    def tensors(self) -> list[Tensor]:
        """Random inputs, the same every time."""
        import torch

        generator = torch.Generator().manual_seed(SEED)

        def tensor(port: Port) -> Tensor:
            if port.kind == "tokens":
                return torch.randint(0, 4, (BATCH, *port.shape), generator=generator)
            return torch.randn(BATCH, *port.shape, generator=generator)

        return [tensor(port) for port in self.ports]

    def settled(self) -> Settled:
        """What the compiler makes of the block, with its defaults, for these ports."""
        from nas.model.settle import settle

        try:
            return settle(signature(self.case)(), self.case.make(), self.ports, str(self.case))
        except CandidateError as error:
            raise AssertionError(str(error)) from error

    def module(self) -> nn.Module:
        """The block in real memory, its weights drawn under one seed."""
        import torch

        torch.manual_seed(SEED)
        return cast("nn.Module", self.case.make()(**dict(self.settled().arguments)))

    def __str__(self) -> str:
        return f"{self.case} fed with {' and '.join(map(str, self.ports))}"


def check_parameters_match_the_constructor(case: Case) -> None:
    """The declared parameters are the constructor's keyword arguments and defaults, less those filled from shapes."""
    from nas.model.settle import FILLED

    declared = dict(signature(case).parameters)
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = inspect.signature(case.make()).parameters.values()
    real = {p.name: p.default for p in taken if p.kind in by_name and p.name not in FILLED}
    for name in sorted(declared.keys() | real.keys()):
        assert name in real, f"{case}: declares parameter {name!r}, which its constructor does not take"
        assert name in declared, f"{case}: its constructor takes {name!r}, which is not declared"
        here, there = declared[name], real[name]
        if there is not inspect.Parameter.empty:
            same = type(here) is type(there) and here == there
            assert same, f"{case}: parameter {name!r} is {here!r} as declared, {there!r} by its constructor"


def check_output_is_as_declared(case: Case) -> None:
    """For every kind it takes: a tensor of the declared kind, of the shape that the meta device foretold, finite."""
    import torch

    for fed in feeds(case):
        port = fed.settled().output
        kinds = {fed.ports[0].kind} if signature(case).output == SAME else kinds_of(signature(case).output)
        assert port.kind in kinds, f"{fed}: gives {port}, declared is {' or '.join(sorted(kinds))}"
        module = fed.module()
        for training in (True, False):
            out = module.train(training)(*fed.tensors())
            shape = (BATCH, *port.shape)
            assert out.shape == shape, f"{fed}: gives {tuple(out.shape)}, the meta device said {shape}"
            assert bool(torch.isfinite(out).all()), f"{fed}: gives numbers that are not finite"


def check_keeps_zero_as_declared(case: Case) -> None:
    """A block that declares `keeps_zero` gives zeros for zeros at initialisation, in training and evaluation."""
    if not signature(case).traits.keeps_zero:
        return
    for fed in feeds(case):
        zeros = [tensor * 0 for tensor in fed.tensors()]
        for training in (True, False):
            out = fed.module().train(training)(*zeros)
            assert not out.any(), f"{fed}: declares keeps_zero and gives {_most(out)} for zeros"


def check_role_is_true(case: Case) -> None:
    """What a role says holds for numbers: identity, zero, sum; symmetric blocks do not see their inputs' order.

    Weights that a symmetric block has for each input are in a ParameterList or ModuleList and move with the inputs.
    """
    import torch

    role = signature(case).traits.role
    for fed in feeds(case) if role else ():
        module = fed.module().eval()
        out = module(*fed.tensors())
        wanted = _by_role(role, module, fed.tensors())
        assert out.shape == wanted.shape, f"{fed}: declares {role!r} and gives shape {tuple(out.shape)}"
        near = torch.allclose(out.double(), wanted.double(), atol=1e-5)
        assert near, f"{fed}: declares {role!r} and is off by {_most(out - wanted)}"
        if role != "symmetric":
            weights = sum(p.numel() for p in module.parameters())
            assert not weights, f"{fed}: declares {role!r} and has {weights} weights, which simplification would drop"


def _by_role(role: Role, module: nn.Module, given: list[Tensor]) -> Tensor:
    if role == "zero":
        return given[0] * 0
    if role == "sum":
        return sum(given[1:], start=given[0])
    if role == "identity":
        return given[0]
    _turn_round(module)
    return cast("Tensor", module(*reversed(given)))


def _turn_round(module: nn.Module) -> None:
    """The weights of each input in the opposite order."""
    from torch import nn

    for part in module.modules():
        if isinstance(part, (nn.ParameterList, nn.ModuleList)):
            for i, item in enumerate(reversed(list(part))):
                part[i] = item


def check_every_weight_learns(case: Case) -> None:
    """Every parameter gets a finite gradient from the output: none is left unused."""
    import torch

    for fed in feeds(case):
        module = fed.module().train()
        if not list(module.parameters()):
            continue
        out = module(*fed.tensors())
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(SEED))).sum().backward()
        for name, weight in module.named_parameters():
            assert weight.grad is not None, f"{fed}: weight {name!r} is not used by forward"
            assert bool(torch.isfinite(weight.grad).all()), f"{fed}: the gradient of {name!r} is not finite"


def check_padding_is_not_seen(case: Case) -> None:
    """A block that takes masks gives the same for a text, whatever stands at the padding after it."""
    import torch

    from nas.model.settle import mask_word

    word = mask_word(case.make())
    for fed in feeds(case) if word else ():
        module, given = fed.module().eval(), fed.tensors()
        masks = [_text(x) if port.kind == "sequence" else None for x, port in zip(given, fed.ports, strict=True)]
        told = {word: tuple(masks) if word == "masks" else masks[0]}
        other = [x if mask is None else _padded(x, mask) for x, mask in zip(given, masks, strict=True)]
        out, same = module(*given, **told), module(*other, **told)
        port, seen = fed.settled().output, torch.ones(len(out), dtype=torch.bool)
        if hasattr(module, "output_mask"):
            seen = cast("Tensor", cast("Any", module).output_mask(*given, **told))
            assert seen.shape == out.shape[:2], f"{fed}: output_mask gives {tuple(seen.shape)} for {tuple(out.shape)}"
        elif masks[0] is not None and port.kind == "sequence" and port.shape[0] == masks[0].shape[1]:
            seen = masks[0]
        off = _most(out[seen] - same[seen])
        assert off < 1e-5, f"{fed}: takes {word!r}, and what stands at padding changes its output by {off:.3g}"


def _text(x: Tensor) -> Tensor:
    """A mask of texts of different lengths: True, then False."""
    import torch

    ends = torch.tensor([x.shape[1] - 3, x.shape[1] // 2])
    return torch.arange(x.shape[1]) < ends[:, None]


def _padded(x: Tensor, mask: Tensor) -> Tensor:
    """`x` with something else at padding."""
    import torch

    return torch.where(mask[..., None], x, x.flip(0) + 1)


def check_seed_decides_the_weights(case: Case) -> None:
    """Built twice under one seed of torch, it starts from the same weights and gives the same outputs."""
    import torch

    for fed in feeds(case):
        one, other = (fed.module().eval()(*fed.tensors()) for _ in range(2))
        assert torch.equal(one, other), f"{fed}: one seed gives two outputs"


def check_source_is_exportable(case: Case) -> None:
    """The class can be written into an exported file: all that it uses is torch's and Python's."""
    cls = case.make()
    if cls.__module__.partition(".")[0] == "torch":
        return
    try:
        tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    except (OSError, TypeError, KeyError) as error:
        raise AssertionError(f"{case}: the source of {cls.__name__} cannot be read: {error}") from error
    for name in sorted(_imports_of(cls.__name__, tree)):
        top = name.partition(".")[0]
        assert top == "torch" or top in sys.stdlib_module_names, (
            f"{case}: {cls.__name__} uses {name!r}; an exported model imports torch and the standard library only"
        )


def signature(case: Case) -> Signature:
    """What the block declares."""
    return cast("Signature", case.entry.details["signature"])


def feeds(case: Case) -> Iterator[Fed]:
    """Inputs for every kind that the first port takes; a port that may come any number of times comes three times."""
    declared = signature(case)
    for first in sorted(declared.ports[0]):
        kinds = [first, *(first if first in port else min(port) for port in declared.ports[1:])]
        if declared.variadic:
            kinds += [kinds[-1]] * 2
        yield Fed(case, tuple(Port(cast("Kind", kind), SHAPES[kind]) for kind in kinds))


def _imports_of(name: str, tree: ast.Module) -> set[str]:
    """The modules that a definition and all it uses of its own module import."""
    defined: dict[str, ast.stmt] = {}
    for node in tree.body:
        for bound in _bound(node):
            defined[bound] = node
    found: set[str] = set()
    todo, seen = [name], {name}
    while todo:
        for part in ast.walk(defined[todo.pop()]):
            if isinstance(part, ast.Import):
                found |= {alias.name for alias in part.names}
            elif isinstance(part, ast.ImportFrom):
                found.add("." * part.level + (part.module or ""))
            elif isinstance(part, ast.Name) and part.id in defined and part.id not in seen:
                seen.add(part.id)
                todo.append(part.id)
    return found


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a meaning to."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _most(out: Tensor) -> float:
    return float(out.detach().abs().max())


CHECKS = (
    check_parameters_match_the_constructor,
    check_output_is_as_declared,
    check_keeps_zero_as_declared,
    check_role_is_true,
    check_every_weight_learns,
    check_padding_is_not_seen,
    check_seed_decides_the_weights,
    check_source_is_exportable,
)
