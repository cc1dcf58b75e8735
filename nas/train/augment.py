"""Augmentations of a batch of images on its device: vectorised, drawn from a generator on the CPU.

All take and give x (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from nas.space.ports import TaskInfo
from nas.train.recipe import Recipe

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def crop(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by up to an eighth of its size, zeros coming in (He et al. 2016 move by 4 of 32)."""
    b, _, h, w = x.shape
    p = max(1, round(max(h, w) / 8))
    windows = functional.pad(x, (p, p, p, p)).unfold(2, h, 1).unfold(3, w, 1)
    dy, dx = (_draw(2 * p + 1, b, generator, x) for _ in range(2))
    return windows[torch.arange(b, device=x.device), :, dy, dx]


def flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right, or not."""
    mirrored = _draw(2, len(x), generator, x).bool()
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def cutout(x: Tensor, generator: torch.Generator) -> Tensor:
    """A square of half the size blanked around a random pixel (DeVries & Taylor 2017)."""
    b, _, h, w = x.shape

    def near(size: int) -> Tensor:
        centre = _draw(size, b, generator, x)
        return (torch.arange(size, device=x.device) - centre[:, None]).abs() < max(1, size // 4)

    rows, columns = near(h), near(w)
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


TABLE: dict[str, Augmentation] = {"crop": crop, "flip": flip, "cutout": cutout}


def augmentations(recipe: Recipe, info: TaskInfo, default: tuple[str, ...]) -> list[Augmentation]:
    """What the recipe asks for, `default` being the task's own; raises ConfigError for a task without images."""
    return [TABLE[name] for name in recipe.augmentations(info, default)]


def _draw(high: int, size: int, generator: torch.Generator, like: Tensor) -> Tensor:
    return torch.randint(high, (size,), generator=generator).to(like.device, non_blocking=True)
