"""The parts of AZ-NAS that look inside a network (Lee & Ham, CVPR 2024): features along its trunk.

The paper's features come out of the blocks that are stacked. Here they are found in any network: what its blocks give,
and the sums of that, where every path from the inputs to the output goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from nas.errors import CandidateError
from nas.train.proxy import Batch

from .modes import Args, Fed, Mode

NEARLY_ZERO = 1e-8


def expressivity(network: nn.Module, batch: Batch) -> float:
    """How evenly features use their channels: the entropy of their principal components, summed along the trunk."""
    return sum(map(_entropy, trunk(network, batch, least=1)))


def progressivity(network: nn.Module, batch: Batch) -> float:
    """The least that this entropy grows from one feature of the trunk to the next."""
    entropies = map(_entropy, trunk(network, batch, least=2))
    return min(after - before for before, after in pairwise(entropies))


def trainability(network: nn.Module, batch: Batch) -> float:
    """How near to 1 the spectral norms are by which gradients grow between features: the mean of 2 - s - 1/s."""
    found = [_growth(*pair) for pair in pairwise(trunk(network, batch, least=2))]
    norms = [norm for norm in found if norm is not None]
    if not norms:
        raise CandidateError("no two features of its trunk have sizes of which one divides the other")
    return sum(2 - norm - 1 / (norm + 1e-6) for norm in norms) / len(norms)


def trunk(network: nn.Module, batch: Batch, least: int) -> list[Tensor]:
    """Features that all paths go through, in their order, as many axes each as the first; the answer is none of them.

    Raises CandidateError where there are less than `least`.
    """
    seen: dict[object, Tensor] = {}
    fed = Fed(batch, lambda x: x.detach().requires_grad_())
    with _Outermost(network, seen):
        out = fed.run(network)
    found = [seen[node] for node in _cuts(out, fed.given) if node in seen and node is not out.grad_fn]
    found = [x for x in found if x.ndim == found[0].ndim]
    if len(found) < least:
        raise CandidateError(f"it needs {least} features that all paths go through, has {len(found)}")
    return found


class _Outermost(Mode):
    """Notes what the network's own forward computes, and its blocks give, but not what blocks compute inside."""

    def __init__(self, network: nn.Module, seen: dict[object, Tensor]) -> None:
        super().__init__()
        self.seen, self.inside = seen, 0
        for block in network.children():
            block.register_forward_pre_hook(self._enters)
            block.register_forward_hook(self._leaves)

    def called(self, name: str, func: Callable[..., Any], args: Args, kwargs: Mapping[str, Any]) -> Any:
        """See `Mode`."""
        out = func(*args, **kwargs)
        if not self.inside:
            self._note(out)
        return out

    def _enters(self, block: nn.Module, given: Any) -> None:
        self.inside += 1

    def _leaves(self, block: nn.Module, given: Any, out: Any) -> None:
        self.inside -= 1
        self._note(out)

    def _note(self, out: Any) -> None:
        if isinstance(out, Tensor) and out.grad_fn is not None:
            self.seen[out.grad_fn] = out


def _cuts(out: Tensor, leaves: Sequence[Tensor]) -> Iterator[object]:
    """The steps of autograd through which every path from `leaves` to `out` goes, from the first to the last."""
    steps = _steps(out, leaves)
    places = {step: place for place, step in enumerate(steps)}
    reach = dict.fromkeys(steps, 0)
    for step, before in steps.items():
        for one in before:
            reach[one] = max(reach[one], places[step])
    furthest = max((places[step] for step, before in steps.items() if not before), default=0)
    for step, place in places.items():
        if furthest <= place:
            yield step
        furthest = max(furthest, reach[step])


def _steps(out: Tensor, leaves: Sequence[Tensor]) -> dict[Any, list[Any]]:
    """What autograd did between `leaves` and `out`, in an order in which it can be done -> the steps right before."""
    before: dict[Any, list[Any]] = {}
    todo: list[Any] = [out.grad_fn]
    while todo:
        if (step := todo.pop()) is not None and step not in before:
            before[step] = [other for other, _ in step.next_functions if other is not None]
            todo += before[step]
    ends = {id(leaf) for leaf in leaves}
    found: dict[Any, list[Any]] = {}
    for step in TopologicalSorter(before).static_order():
        inner = [other for other in before[step] if other in found]
        if inner or id(getattr(step, "variable", None)) in ends:
            found[step] = inner
    return found


def _entropy(x: Tensor) -> float:
    """Of the shares of the principal components of x's channels."""
    rows = _rows(x.detach()).double()
    rows = rows - rows.mean(0)
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).clamp(min=0)
    shares = values / values.sum()
    return -float((shares * (shares + NEARLY_ZERO).log()).sum())


def _growth(before: Tensor, after: Tensor) -> float | None:
    """The spectral norm of the map from random signs at `after` to their gradient at `before`; None without one."""
    signs = torch.randint_like(after, 2) * 2 - 1
    (slope,) = torch.autograd.grad(after, before, signs, retain_graph=True)
    fitted = _fitted(slope, after)
    if fitted is None:
        return None
    return float(torch.linalg.matrix_norm(_rows(fitted).T @ _rows(signs) / len(_rows(signs)), ord=2))


def _fitted(x: Tensor, like: Tensor) -> Tensor | None:
    """`x` with as many places as `like`, those that fall together side by side in its channels."""
    if x.ndim == 4:
        step = max(1, x.shape[2] // like.shape[2])
        fits = (x.shape[2], x.shape[3]) == (step * like.shape[2], step * like.shape[3])
        return pixel_unshuffle(x, step) if fits else None
    if x.ndim == 3:
        return x.reshape(*like.shape[:2], -1) if x.shape[1] % like.shape[1] == 0 else None
    return x


def _rows(x: Tensor) -> Tensor:
    """The channels at every place of every example: (N, C)."""
    return x.movedim(1, -1).flatten(0, -2) if x.ndim == 4 else x.flatten(0, -2)
