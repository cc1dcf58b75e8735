"""The memory that training a network takes for one example, found on the meta device with the shapes.

What autograd keeps is what it says itself: the tensors that it saves for the backward pass, each storage once, without
the weights. For a graph these are put together from those of its blocks, which are remembered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from nas.model.meta import Counting
from nas.space.flat import Value
from nas.space.ports import Port

LOSS = 4
"""Tensors of the size of the network's output beside it and its loss: scores, their logarithms, two gradients."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a block, or a graph, keeps for its backward pass, in bytes for one example.

    inside: tensors of its own.  inputs: which of its inputs it keeps.  output: whether it keeps what it gives.
    passed: the input whose memory its output is, None where it is new.  working: its new tensors that are there at
    once, its output among them, where nothing is kept for gradients.
    """

    inside: int
    inputs: tuple[bool, ...]
    output: bool
    passed: int | None
    working: int


def bytes_of(port: Port) -> int:
    """The bytes of one example of a value."""
    return math.prod(port.shape) * (8 if port.kind == "tokens" else 4)


class Keeping:
    """Notes the storages that autograd saves of what runs inside `watching`; `parts` are the modules that run."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        self._parts = parts
        self._saved: dict[int, Any] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """With gradients, whatever is around."""
        with torch.enable_grad(), saved_tensors_hooks(self._save, self._never):
            yield

    def footprint(self, inputs: Sequence[Tensor], output: Tensor, counting: Counting) -> Footprint:
        """Of what took `inputs`, with a batch of 2, and gave `output`."""
        weights = {
            _storage(tensor)
            for part in self._parts
            for tensor in (*part._parameters.values(), *part._buffers.values())
            if tensor is not None
        }
        given, gone = [_storage(x) for x in inputs], {_storage(x) for x in counting.fused}
        own = _storage(output)
        others = self._saved.keys() - weights - gone - {own, *given}
        inside = sum(self._saved[key].nbytes() for key in others) // 2
        kept = tuple(key in self._saved for key in given)
        passed = given.index(own) if own in given else None
        return Footprint(inside, kept, own in self._saved and passed is None, passed, counting.peak // 2)

    def _save(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._saved[storage._cdata] = storage  # held, so that no later storage gets its address

    @staticmethod
    def _never(_: object) -> Tensor:
        raise AssertionError("nothing runs backward on the meta device")


def unknown(inputs: Sequence[Tensor], counting: Counting) -> Footprint:
    """Of a module of which autograd does not say what it saves: all that it takes and makes, with a batch of 2."""
    return Footprint(counting.made // 2, (True,) * len(inputs), False, None, counting.peak // 2)


def differentiable(inputs: Iterable[Tensor]) -> list[Tensor]:
    """The inputs as autograd sees what comes from other blocks; tokens stay as they are."""
    return [x.requires_grad_().clone() if x.dtype.is_floating_point else x for x in inputs]


def _storage(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


class Adding:
    """Puts the footprints of a graph's blocks together, in the order they run.

    Values are as in `nas.space.flat`; one that several blocks keep is there once.
    """

    def __init__(self, inputs: Sequence[Port]) -> None:
        self._inputs = len(inputs)
        self._place: list[Value] = [(i,) for i in range(len(inputs))]
        self._size: dict[Value, int] = {(i,): bytes_of(port) for i, port in enumerate(inputs)}
        self._kept: dict[Value, int] = {}
        self._held = self._inside = self._working = self._training = self._evaluating = 0
        self._named: dict[str, Value] = {}

    def add(self, found: Footprint, name: str, ports: Sequence[Value], incoming: Sequence[Port], output: Port) -> None:
        """One block more: what it keeps, its name, the values on its ports, their ports and that of its output.

        A network's variables are named as its blocks: a value is there until another gets its name.
        """
        term = len(self._place)
        places = [self._at(value, port) for value, port in zip(ports, incoming, strict=True)]
        made = (term,) if found.passed is None else places[found.passed]
        self._place.append(made)
        if made not in (size := self._size):
            size[made] = bytes_of(output)
        for place, kept in zip(places, found.inputs, strict=True):
            if kept:
                self._keep(place)
        if found.output:
            self._keep(made)
        self._inside += found.inside
        self._held += found.inside
        self._working = max(self._working, found.working)
        gradients = sum([size[place] for place in (made, *places)])
        self._training = max(self._training, self._held + max(found.working, gradients))
        there = sum([size[place] for place in {*self._named.values(), *places}])
        self._evaluating = max(self._evaluating, there + found.working)
        self._named[name] = made

    def footprint(self, output: Value) -> Footprint:
        """Of the whole graph as one block."""
        places = [(i,) for i in range(self._inputs)]
        last = self._place[output[0]] if len(output) == 1 else output
        kept = {place: size for place, size in self._kept.items() if place not in places and place != last}
        passed = places.index(last) if last in places else None
        keeps = tuple(place in self._kept for place in places)
        inside = self._inside + sum(kept.values())
        return Footprint(inside, keeps, passed is None and last in self._kept, passed, self._working)

    def training(self, output: Port) -> int:
        """The bytes for one example of a training step at their peak, the batch itself and the loss included."""
        batch = sum(self._size[i,] for i in range(self._inputs))
        return batch + max(self._training, self._held + LOSS * bytes_of(output))

    def evaluating(self, output: Port) -> int:
        """The bytes for one example of a forward pass without gradients."""
        batch = sum(self._size[i,] for i in range(self._inputs))
        return batch + max(self._evaluating, LOSS * bytes_of(output))

    def _at(self, value: Value, port: Port) -> Value:
        """Where a value lies: a sum is a tensor of its own, zeros are, too."""
        if len(value) == 1:
            return self._place[value[0]]
        if value not in self._size:
            self._size[value] = bytes_of(port)
        return value

    def _keep(self, place: Value) -> None:
        if place not in self._kept:
            self._kept[place] = self._size[place]
            self._held += self._size[place]
