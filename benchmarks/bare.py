"""A training loop as people write it by hand, which benchmarks stand beside: no ledger, no checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.train.recipe import Recipe
    from nas.train.worker import Setting

Part = tuple["Tensor", "Tensor"]


def parts_of(setting: Setting) -> tuple[Part, Part]:
    """Inputs and labels of what is trained on and of what is validated on, as tensors."""
    import torch

    train, validation = ((torch.from_numpy(p.x[0]), torch.from_numpy(p.y)) for p in setting.parts)
    return train, validation


def train(network: nn.Module, parts: tuple[Part, Part], recipe: Recipe) -> float:
    """The validation accuracy after the last epoch; it is measured after every one."""
    import torch
    from torch.nn import functional as F

    (x, y), (x_val, y_val) = parts
    steps, found = -(-len(y) // recipe.batch_size), 0.0
    optimizer = torch.optim.SGD(network.parameters(), recipe.lr, 0.9, weight_decay=5e-4, nesterov=True)
    schedule: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * steps)
    for _ in range(recipe.epochs):
        network.train()
        for chosen in torch.randperm(len(y)).split(recipe.batch_size):  # type: ignore[no-untyped-call]
            loss = F.cross_entropy(network(x[chosen].float()), y[chosen], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip)
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            found = (network(x_val.float()).argmax(1) == y_val).float().mean().item()
    return found
