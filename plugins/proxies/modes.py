"""What all proxies share: seeing, and changing, what a network computes, whatever blocks it is made of.

Blocks apply a function as a module, as a function or as a method. All three pass through PyTorch's function modes, by
the function's name, on every device and in front of every fused kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.errors import CandidateError
from nas.train.proxy import Batch

RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"}

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any] | None


class Mode(TorchFunctionMode):
    """A function mode that is told the plain name of what is called: ``relu`` for all of `nn.ReLU`, `F.relu_`, ..."""

    def __torch_function__(self, func: Any, types: Any, args: Args = (), kwargs: Kwargs = None) -> Any:
        """See `torch.overrides`."""
        return self.called(getattr(func, "__name__", "").rstrip("_"), func, args, kwargs or {})

    def called(self, name: str, func: Callable[..., Any], args: Args, kwargs: Mapping[str, Any]) -> Any:
        """What the call gives."""
        raise NotImplementedError


class Fed(Mode):
    """Feeds a network with other numbers: `change` makes them of every float input and of every embedding's output.

    Tokens are no numbers; what an embedding makes of them is where numbers begin. `given` are the changed tensors.
    Raises CandidateError when tokens were read otherwise.
    """

    def __init__(self, batch: Batch, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.batch, self.change = batch, change
        self.given: list[Tensor] = []

    def run(self, network: nn.Module) -> Tensor:
        """The network's output; `given` anew."""
        self.given = []
        x = [self._changed(part) if part.is_floating_point() else part for part in self.batch.x]
        try:
            with self:
                out: Tensor = network(*x)
        except RuntimeError:
            self._check()
            raise
        self._check()
        return out

    def _check(self) -> None:
        if len(self.given) < len(self.batch.x):
            raise CandidateError("its tokens do not pass through an embedding: there are no numbers to change")

    def called(self, name: str, func: Callable[..., Any], args: Args, kwargs: Mapping[str, Any]) -> Any:
        """See `Mode`."""
        out = func(*args, **kwargs)
        if name == "embedding" and len(out) == len(self.batch):
            return self._changed(out)
        return out

    def _changed(self, x: Tensor) -> Tensor:
        self.given.append(self.change(x))
        return self.given[-1]


class Watched(Mode):
    """Calls `see(name, argument, result)` after each function called one of `names`: its first argument and result."""

    def __init__(self, names: Iterable[str], see: Callable[[str, Tensor, Tensor], None]) -> None:
        super().__init__()
        self.names, self.see = frozenset(names), see

    def called(self, name: str, func: Callable[..., Any], args: Args, kwargs: Mapping[str, Any]) -> Any:
        """See `Mode`."""
        out = func(*args, **kwargs)
        if name in self.names:
            self.see(name, args[0] if args else kwargs["input"], out[0] if isinstance(out, tuple) else out)
        return out


def weights(network: nn.Module) -> list[nn.Parameter]:
    """What is learned but biases and the scales of normalisations: parameters of two or more axes."""
    found = [p for p in network.parameters() if p.requires_grad and p.ndim >= 2]
    if not found:
        raise CandidateError("it has no weights to learn")
    return found


def gradients(loss: Tensor, of: list[Any], **options: Any) -> list[Tensor]:
    """The gradient of `loss` with respect to each tensor, zeros where it does not depend on it."""
    if not loss.requires_grad:
        raise CandidateError("its output depends on nothing that is learned")
    found = torch.autograd.grad(loss, of, allow_unused=True, **options)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(of, found, strict=True)]
