"""The training of one network, from the first step to the last, read top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import TrainingError
from nas.storage import File
from nas.train import checkpoint
from nas.train.augment import Augmentation
from nas.train.data import Data
from nas.train.group import ALONE, Alone
from nas.train.keeper import Keeper
from nas.train.recipe import Recipe
from nas.train.target import Classes, Metrics, Target

CLASSES = Classes()


def train(
    network: nn.Module,
    data: Data,
    validation: Data,
    recipe: Recipe,
    *,
    seed: int,
    target: Target = CLASSES,
    augment: Sequence[Augmentation] = (),
    file: File | None = None,
    resume: bool = False,
    pieces: int = 1,
    group: Alone = ALONE,
) -> Iterator[Metrics]:
    """Train `network` on `data`, one epoch after the other; yields the metrics of each when its checkpoint is durable.

    Resuming from `file` goes on as if never stopped, after yielding the last epoch in it once more: whoever was killed
    may not have heard of it. With `pieces` every batch is trained on in so many parts: less memory, and the same step
    but for batch norm, which sees each part alone. Of a `group` every process calls this; all but the first neither
    evaluate nor write, and yield nothing new. Raises TrainingError when the loss is not finite, `file` is of
    another recipe or seed, or another training has taken it over; LedgerError when it cannot be written.
    """
    optimizer = make_optimizer(network, recipe)
    run = Run(network, optimizer, Randomness.seeded(seed), made_by={"seed": seed, "recipe": recipe.model_dump_json()})
    keeper = Keeper(file) if file is not None and group.rank == 0 else None
    if resume and file is not None and file.is_file():
        run.restore(checkpoint.load(file, data.device))
        yield run.metrics

    steps = data.steps(recipe.batch_size)
    rate = cosine_with_warmup(recipe.epochs * steps, round(recipe.warmup_epochs * steps))
    autocast = precision(recipe, data.device)
    shared = group.wrap(network)

    while run.epoch < recipe.epochs and group.goes_on(run.epoch):
        started = time.perf_counter()
        run.random.use()
        if group.rank > 0:  # with the leader's numbers dropout would leave out the same of other examples
            torch.manual_seed(stream(seed, f"layers of {group.rank} in {run.epoch}"))
        network.train()
        total = torch.zeros((), device=data.device)
        count: int | Tensor = 0
        batches = data.shuffled(recipe.batch_size, run.random.order, run.random.draws, augment)
        for step, (x, y) in enumerate(batches, start=run.epoch * steps):
            for some in optimizer.param_groups:
                some["lr"] = recipe.lr * rate(step)
            optimizer.zero_grad(set_to_none=True)
            loss = backward(shared, x, y, target, recipe.label_smoothing, pieces, autocast, group)
            if recipe.grad_clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip)
            optimizer.step()
            total += loss * target.count(y)
            count = count + target.count(y)
        run.epoch += 1
        train_loss = group.mean(total).item() / float(count)
        if not math.isfinite(train_loss):
            raise TrainingError(f"the loss is {train_loss} in epoch {run.epoch}; try a lower lr than {recipe.lr:g}")
        if group.rank > 0:
            continue
        found = evaluate(network, validation, target, autocast, at_a_time=max(1, validation.evaluation_batch // pieces))
        run.seconds += time.perf_counter() - started
        run.metrics = {"epoch": run.epoch, "epochs": recipe.epochs, "train_loss": train_loss}
        run.metrics |= {f"val_{name}": value for name, value in found.items()} | {"seconds": run.seconds}
        run.random.keep()
        if keeper is not None:
            keeper.save(run.state())
        yield run.metrics


def backward(
    network: nn.Module,
    x: Sequence[Tensor],
    y: Tensor,
    target: Target,
    smoothing: float = 0.0,
    pieces: int = 1,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    group: Alone = ALONE,
) -> Tensor:
    """Adds the gradients of the batch's mean loss to those of `network`; gives that loss.

    In `pieces` of two examples at least, since batch norm needs two, each weighted by what it has of the batch's
    answers: gradients add up to the same, also where positions of sequences don't count. So they do in a `group`, of
    which each process takes its share of the batch; the loss is the mean over the processes of what this gives then.
    """
    mine = group.share((*x, y))
    pieces = max(1, min(pieces, len(mine[-1]) // 2))
    if pieces == group.size == 1:
        with autocast():
            loss = target.loss(network(*x), y, smoothing)
        torch.autograd.backward(loss)
        return loss.detach()
    whole, total = target.count(y), torch.zeros((), device=y.device)
    for left, (*inputs, answers) in zip(
        reversed(range(pieces)), zip(*(tensor.tensor_split(pieces) for tensor in mine), strict=True), strict=True
    ):
        share = target.count(answers) / whole * group.size
        with group.alone(network) if left else nullcontext():
            with autocast():
                output = network(*inputs)
                # where nothing is asked, a mean over nothing would not be a number
                loss = target.loss(output, answers, smoothing) * share if share else output.sum() * 0
            torch.autograd.backward(loss)
        total += loss.detach()
    return total


@torch.no_grad()
def evaluate(
    network: nn.Module,
    data: Data,
    target: Target = CLASSES,
    autocast: Callable[[], AbstractContextManager[Any]] | None = None,
    at_a_time: int = 0,
) -> Metrics:
    """The loss (not smoothed) and the other metrics of `network`, left in evaluation mode, on all of `data`."""
    network.eval()

    def answers() -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in data.in_order(at_a_time):
            with autocast() if autocast else torch.autocast(data.device.type, enabled=False):
                output = network(*x)
            yield output.float(), y

    return target.measure(answers())


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; norms, biases and other vectors do not decay."""
    learned = [p for p in network.parameters() if p.requires_grad]
    if not learned:
        raise TrainingError("the network has nothing to learn: it has no parameters")
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = True if learned[0].device.type == "cpu" else None  # on a GPU torch itself takes many tensors at a time
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.lr, fused=fused)
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=recipe.momentum > 0, fused=fused)


def cosine_with_warmup(steps: int, warmup: int) -> Callable[[int], float]:
    """Step -> factor of the learning rate: linearly up to 1, then half a cosine to 0 (Loshchilov & Hutter 2017)."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    return factor


def precision(recipe: Recipe, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """A maker of contexts that compute in bfloat16 where that pays: on a GPU that can."""
    use = recipe.amp == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16, enabled=use)


@dataclass
class Randomness:
    """Where chance comes from: the order of examples, augmentation, and (torch's own generator) dropout.

    All three are the run's own, so that runs that take turns in one process do not change one another.
    """

    order: torch.Generator
    draws: torch.Generator
    layers: dict[str, Tensor]

    @classmethod
    def seeded(cls, seed: int) -> Randomness:
        """Three independent streams from one seed."""
        order, draws = (torch.Generator().manual_seed(stream(seed, name)) for name in ("order", "augment"))
        torch.manual_seed(stream(seed, "layers"))
        return cls(order, draws, _global_state())

    def use(self) -> None:
        """Make torch's own generators go on where this run left them."""
        torch.set_rng_state(self.layers["cpu"])
        if "cuda" in self.layers and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.layers["cuda"])

    def keep(self) -> None:
        """Remember where torch's own generators are."""
        self.layers = _global_state()

    def state(self) -> dict[str, Tensor]:
        """All streams as tensors."""
        return {"order": self.order.get_state(), "draws": self.draws.get_state(), **self.layers}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        state = {name: tensor.cpu() for name, tensor in state.items()}
        self.order.set_state(state.pop("order"))
        self.draws.set_state(state.pop("draws"))
        self.layers = state


@dataclass
class Run:
    """All that a checkpoint must hold for a training to go on as if it had not stopped."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    random: Randomness
    made_by: dict[str, Any]
    epoch: int = 0
    seconds: float = 0.0
    metrics: Metrics = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {
            "weights": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.state(),
            "made_by": self.made_by,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`; raises TrainingError when it comes from another recipe or seed."""
        if state["made_by"] != self.made_by:
            raise TrainingError(
                f"the checkpoint is of another training: expected {self.made_by}, got {state['made_by']}"
            )
        self.network.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.random.restore(state["random"])
        self.epoch, self.seconds, self.metrics = state["epoch"], state["seconds"], state["metrics"]


def stream(seed: int, name: str) -> int:
    """A seed for one use of chance, so that two uses of one seed have nothing in common."""
    return int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=7).digest())


def _global_state() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states
