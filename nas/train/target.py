"""What a network is asked and how well it answers: a loss to train with and metrics to judge by, for each target.

Shapes: B examples, L positions, V tokens, K classes or values.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nas.space.ports import TaskInfo
from nas.train.task import IGNORE, Task, value_statistics

Metrics = dict[str, float]
Answers = Iterable[tuple[Tensor, Tensor]]
"""What a network gives for batch after batch, and the targets."""

AGREEMENT = ("f1", "auroc")
"""Metrics of classes that a search may ask for: means over the classes, each against the others."""

SCORES_AT_ONCE = 2**24
"""Numbers that a network gives in one batch of an evaluation: 64 MB."""


class Target(Protocol):
    """One kind of answer."""

    def loss(self, output: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean loss of what counts in `y`."""
        ...

    def count(self, y: Tensor) -> int | Tensor:
        """How many answers `y` asks for."""
        ...

    def measure(self, answers: Answers) -> Metrics:
        """``loss`` and the other metrics, over all answers."""
        ...


def target_of(task: Task, metrics: Collection[str] = ()) -> Target:
    """What `task` asks; `metrics` are the validation metrics that a search goes by: some are computed for it only."""
    if task.info.target == "value":
        return Values(value_statistics(task.train_arrays().y).std)
    if task.info.target == "token":
        return Tokens(task.characters)
    return Classes(tuple(name for name in AGREEMENT if f"val_{name}" in metrics))


def evaluation_batch(task: TaskInfo, most: int = 512) -> int:
    """How many examples may be evaluated at a time."""
    return max(1, min(most, SCORES_AT_ONCE // math.prod(task.output.shape)))


@dataclass(frozen=True)
class Classes:
    """One class an example: output (B, K), y (B,). Metrics: loss (cross-entropy), accuracy and what is `asked` for.

    asked: some of `AGREEMENT`, which torchmetrics computes.
    """

    asked: tuple[str, ...] = ()

    def loss(self, output: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        """See `Target`."""
        return functional.cross_entropy(output, y, label_smoothing=smoothing)

    def count(self, y: Tensor) -> int:
        """See `Target`."""
        return len(y)

    def measure(self, answers: Answers) -> Metrics:
        """See `Target`."""
        loss: float | Tensor = 0.0
        right: int | Tensor = 0
        count = 0
        kept: list[tuple[Tensor, Tensor]] = []
        for output, y in answers:
            if self.asked:
                kept.append((output.cpu(), y.cpu()))
            loss = loss + functional.cross_entropy(output, y, reduction="sum")
            # torchmetrics gives the same number, and any part of it takes over a second of a worker's start to import.
            right = right + (output.argmax(dim=1) == y).sum()
            count += len(y)
        return {"loss": float(loss) / count, "accuracy": int(right) / count} | _of_classes(self.asked, kept)


@dataclass(frozen=True)
class Tokens:
    """A token at every position, but where y is `IGNORE`: output (B, L, V), y (B, L).

    Metrics: loss (cross-entropy of a token), accuracy, perplexity, and bpc (bits per character) when it is known how
    many characters each token stands for.
    """

    characters: tuple[int, ...] = ()

    def loss(self, output: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        """See `Target`."""
        return functional.cross_entropy(
            output.flatten(0, 1), y.flatten(), ignore_index=IGNORE, label_smoothing=smoothing
        )

    def count(self, y: Tensor) -> Tensor:
        """See `Target`."""
        return (y != IGNORE).sum()

    def measure(self, answers: Answers) -> Metrics:
        """See `Target`."""
        loss, right, count, letters = 0.0, 0, 0, 0
        for output, y in answers:
            loss += functional.cross_entropy(
                output.flatten(0, 1), y.flatten(), ignore_index=IGNORE, reduction="sum"
            ).item()
            right += int((output.argmax(dim=-1) == y).sum())
            count += int(self.count(y))
            letters += self._letters(y)
        found = {"loss": loss / count, "accuracy": right / count, "perplexity": math.exp(min(loss / count, 700.0))}
        return found | ({"bpc": loss / math.log(2) / letters} if letters else {})

    def _letters(self, y: Tensor) -> int:
        if not self.characters:
            return 0
        return int(torch.tensor(self.characters)[y[y != IGNORE].cpu()].sum())


@dataclass(frozen=True)
class Values:
    """K numbers an example: output (B, K), y (B, K) or (B,), both in the data's units.

    Metrics: loss (squared error in units of the deviation `unit` of each value), mae in the data's units, r2, and the
    correlations pearson and spearman, all means over the K values; 0 where constants leave them undefined.
    """

    unit: tuple[float, ...]

    def loss(self, output: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        """See `Target`; nothing is smoothed."""
        return ((output.float() - y.view_as(output)) / torch.tensor(self.unit, device=y.device)).square().mean()

    def count(self, y: Tensor) -> int:
        """See `Target`."""
        return len(y)

    def measure(self, answers: Answers) -> Metrics:
        """See `Target`."""
        outputs, ys = zip(*((output.cpu(), y.cpu().view(output.shape)) for output, y in answers), strict=True)
        output, y = torch.cat(outputs), torch.cat(ys)
        found = {"loss": self.loss(output, y).item(), "mae": (output - y).abs().mean().item()}
        return found | _agreement(output, y)


def _of_classes(asked: Collection[str], answers: list[tuple[Tensor, Tensor]]) -> Metrics:
    if not asked:
        return {}
    from torchmetrics.functional import classification  # here, because it takes over a second to import

    output, y = map(torch.cat, zip(*answers, strict=True))
    classes = output.shape[1]
    with warnings.catch_warnings(action="ignore"):  # it says that a class has no examples; so be it
        found = {
            "f1": classification.multiclass_f1_score(output, y, classes, average="macro"),
            "auroc": classification.multiclass_auroc(output.softmax(dim=1), y, classes, average="macro"),
        }
    return {name: float(found[name]) for name in asked}


def _agreement(output: Tensor, y: Tensor) -> Metrics:
    from torchmetrics.functional import regression  # here, because it takes over a second to import

    sums = {"r2": 0.0, "pearson": 0.0, "spearman": 0.0}
    for given, wanted in zip(output.T, y.T, strict=True):
        if wanted.min() == wanted.max():
            continue
        sums["r2"] += float(regression.r2_score(given, wanted))
        if given.min() != given.max():
            with warnings.catch_warnings(action="ignore"):  # it says that answers are nearly constant; so be it
                sums["pearson"] += float(regression.pearson_corrcoef(given, wanted).nan_to_num())
                sums["spearman"] += float(regression.spearman_corrcoef(given, wanted).nan_to_num())
    return {name: total / y.shape[1] for name, total in sums.items()}
