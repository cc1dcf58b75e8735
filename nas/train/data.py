"""A task's examples as tensors on the device, handed out in batches. No processes: the data is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nas.train.augment import Augmentation
from nas.train.task import Arrays, Redraw

Batch = tuple[tuple[Tensor, ...], Tensor]

SHARE_OF_FREE_MEMORY = 0.4
"""Of the GPU's free memory the data may take this; the rest is for networks, and other workers on the same GPU."""

EVALUATION_BATCH = 512
"""Examples that are evaluated at a time where their answers are small."""


class Data:
    """Examples that stay in the type they came in (uint8 images stay uint8) and become float32 in the batch.

    They are held on the device when they fit, else in host memory from which batches are copied through pinned pages.
    `redraw` is what batches in a random order go through; see `Task`.
    """

    def __init__(
        self,
        arrays: Arrays,
        device: torch.device,
        evaluation_batch: int = EVALUATION_BATCH,
        redraw: Redraw | None = None,
    ) -> None:
        x = [torch.from_numpy(array) for array in arrays.x]
        y = torch.from_numpy(arrays.y)
        home = device if _fits([*x, y], device) else torch.device("cpu")
        self.device, self.evaluation_batch, self.redraw = device, evaluation_batch, redraw
        self.x = tuple(array.to(home) for array in x)
        self.y = y.to(home)

    def __len__(self) -> int:
        return len(self.y)

    def steps(self, batch_size: int) -> int:
        """How many batches an epoch has."""
        return -(-len(self) // batch_size)

    def shuffled(
        self, batch_size: int, order: torch.Generator, draws: torch.Generator, augment: Sequence[Augmentation] = ()
    ) -> Iterator[Batch]:
        """Every example once, in an order from `order`, changed by `augment` and `redraw` with numbers from `draws`.

        The batches differ by at most one example, so that none is too small for batch normalisation.
        """
        permutation = torch.randperm(len(self), generator=order).to(self.y.device)
        for index in permutation.tensor_split(self.steps(batch_size)):
            (first, *others), y = self.batch(index)
            for change in augment:
                first = change(first, draws)
            if self.redraw is not None:
                first, y = self.redraw(first, y, draws)
            yield (first, *others), y

    def in_order(self, batch_size: int = 0) -> Iterator[Batch]:
        """Every example once, as they came, by default in batches for evaluation."""
        for index in torch.split(torch.arange(len(self), device=self.y.device), batch_size or self.evaluation_batch):
            yield self.batch(index)

    def batch(self, index: Tensor) -> Batch:
        """The examples at `index`, as a network takes them."""
        return tuple(_number(self._move(x[index])) for x in self.x), self._move(self.y[index])

    def _move(self, batch: Tensor) -> Tensor:
        if batch.device == self.device or self.device.type != "cuda":
            return batch.to(self.device)
        return batch.pin_memory().to(self.device, non_blocking=True)


def _number(x: Tensor) -> Tensor:
    return x if x.dtype == torch.int64 else x.float()


def _fits(tensors: Sequence[Tensor], device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return sum(tensor.nbytes for tensor in tensors) <= SHARE_OF_FREE_MEMORY * free
