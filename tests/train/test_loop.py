from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.errors import TrainingError
from nas.train.augment import crop
from nas.train.data import Data
from nas.train.loop import Metrics, backward, cosine_with_warmup, evaluate, make_optimizer, stream, train
from nas.train.recipe import Recipe
from nas.train.target import Classes, Target, Tokens, Values
from nas.train.task import IGNORE

Build = Callable[[], nn.Module]
Parts = tuple[Data, Data]
RECIPE = Recipe.parse({"epochs": 4, "batch_size": 16})


def run(
    network: nn.Module, parts: Parts, recipe: Recipe = RECIPE, seed: int = 0, file: Path | None = None, **more: bool
) -> Iterator[Metrics]:
    return train(network, *parts, recipe, seed=seed, augment=[crop], file=file, **more)


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def values(metrics: Metrics) -> Metrics:
    return {name: value for name, value in metrics.items() if name != "seconds"}


def test_it_learns_and_says_so(small: Build, parts: Parts) -> None:
    curve = list(run(small(), parts, Recipe.parse({"epochs": 8, "batch_size": 16})))
    assert [m["epoch"] for m in curve] == list(range(1, 9))
    assert {m["epochs"] for m in curve} == {8}
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]
    assert curve[-1]["val_accuracy"] > 0.9
    assert 0 < curve[0]["seconds"] < curve[-1]["seconds"]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    small: Build, parts: Parts, optimizer: str
) -> None:
    recipe = Recipe.parse({"epochs": 2, "batch_size": 16, "optimizer": optimizer})
    networks = [small() for _ in range(3)]
    curves = [[values(m) for m in run(n, parts, recipe, s)] for n, s in zip(networks, (5, 5, 6), strict=True)]
    assert equal(networks[0], networks[1])
    assert not equal(networks[0], networks[2])
    assert curves[0] == curves[1]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resuming_goes_on_bit_for_bit(small: Build, parts: Parts, tmp_path: Path, optimizer: str, stop: int) -> None:
    recipe = Recipe.parse({"epochs": 4, "batch_size": 16, "optimizer": optimizer})
    straight, stopped, resumed = small(), small(), small()
    whole = [values(m) for m in run(straight, parts, recipe)]
    first = [values(m) for m in islice(run(stopped, parts, recipe, file=tmp_path / "last.pt"), stop)]
    torch.manual_seed(99)  # another process has other numbers in its generator
    rest = [values(m) for m in run(resumed, parts, recipe, file=tmp_path / "last.pt", resume=True)]
    assert equal(straight, resumed)
    assert first + rest[1:] == whole
    assert rest[0] == first[-1]


def test_runs_that_take_turns_do_not_change_one_another(small: Build, parts: Parts) -> None:
    alone, one, other = small(), small(), small()
    expected = [values(m) for m in run(alone, parts)]
    turns = list(zip(run(one, parts), run(other, parts, seed=8), strict=True))
    assert [values(m) for m, _ in turns] == expected
    assert equal(alone, one)


def test_a_finished_training_says_its_last_epoch_again(small: Build, parts: Parts, tmp_path: Path) -> None:
    *_, last = run(small(), parts, file=tmp_path / "last.pt")
    assert list(run(small(), parts, file=tmp_path / "last.pt", resume=True)) == [last]


def test_seconds_add_up_over_resumes(small: Build, parts: Parts, tmp_path: Path) -> None:
    (first,) = islice(run(small(), parts, file=tmp_path / "last.pt"), 1)
    again, second, *_ = run(small(), parts, file=tmp_path / "last.pt", resume=True)
    assert again["seconds"] == first["seconds"] < second["seconds"]


def test_the_checkpoint_is_there_before_the_metrics_are(small: Build, parts: Parts, tmp_path: Path) -> None:
    file = tmp_path / "last.pt"
    for metrics in run(small(), parts, file=file):
        assert torch.load(file, weights_only=True)["epoch"] == metrics["epoch"]


def test_without_resume_an_old_checkpoint_is_not_looked_at(small: Build, parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_text("rubbish")
    assert next(run(small(), parts, file=tmp_path / "last.pt"))["epoch"] == 1


def test_resume_without_a_checkpoint_starts(small: Build, parts: Parts, tmp_path: Path) -> None:
    assert next(run(small(), parts, file=tmp_path / "last.pt", resume=True))["epoch"] == 1


@pytest.mark.parametrize(("recipe", "seed"), [(RECIPE, 1), (Recipe.parse({"epochs": 5, "batch_size": 16}), 0)])
def test_a_checkpoint_of_another_training_is_refused(
    small: Build, parts: Parts, tmp_path: Path, recipe: Recipe, seed: int
) -> None:
    next(run(small(), parts, file=tmp_path / "last.pt"))
    with pytest.raises(TrainingError, match="the checkpoint is of another training"):
        next(run(small(), parts, recipe, seed, tmp_path / "last.pt", resume=True))


def test_a_loss_that_is_not_finite_ends_the_training_and_writes_nothing(
    small: Build, parts: Parts, tmp_path: Path
) -> None:
    wild = Recipe.parse({"epochs": 3, "batch_size": 16, "lr": 1e30, "grad_clip": 0, "warmup_epochs": 0})
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) in epoch \d; try a lower lr than 1e\+30"):
        list(run(small(), parts, wild, file=tmp_path / "last.pt"))
    assert not (tmp_path / "last.pt").exists()


def test_a_network_without_parameters_has_nothing_to_learn(parts: Parts) -> None:
    with pytest.raises(TrainingError, match="nothing to learn"):
        next(run(nn.Flatten(), parts))


def test_evaluation_neither_learns_nor_drops(small: Build, parts: Parts) -> None:
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = evaluate(network, parts[1])
    assert first == evaluate(network, parts[1])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training


class Constant(nn.Module):
    """Answers class 0 with probability 1/2, the two others with 1/4."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.5, 0.25, 0.25]).log().expand(len(x), 3)


def test_evaluation_is_the_mean_over_examples(parts: Parts) -> None:
    loss, accuracy = evaluate(Constant(), parts[1]).values()
    share = (parts[1].y == 0).float().mean().item()
    assert accuracy == pytest.approx(share)
    assert loss == pytest.approx(share * math.log(2) + (1 - share) * math.log(4))


def test_accuracy_is_torchmetrics(small: Build, parts: Parts) -> None:
    from torchmetrics.functional.classification import multiclass_accuracy

    network, data = small(), parts[1]
    ours = evaluate(network, data)["accuracy"]
    (x,), y = next(iter(data.in_order()))
    theirs = multiclass_accuracy(network(x), y, num_classes=3, average="micro")
    assert ours == pytest.approx(theirs.item())


def test_only_matrices_and_kernels_decay(small: Build) -> None:
    decayed, free = make_optimizer(small(), RECIPE).param_groups
    assert decayed["weight_decay"] == RECIPE.weight_decay
    assert sorted(p.ndim for p in decayed["params"]) == [2, 4]
    assert free["weight_decay"] == 0
    assert {p.ndim for p in free["params"]} == {1}


def test_the_rate_rises_then_falls_to_nothing() -> None:
    factors = [cosine_with_warmup(100, 10)(step) for step in range(100)]
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == 1
    assert 0 < factors[-1] < 0.001


def test_without_warm_up_the_rate_starts_at_its_top() -> None:
    assert cosine_with_warmup(10, 0)(0) == 1


def test_label_smoothing_and_clipping_are_used(small: Build, parts: Parts) -> None:
    plain, smooth = (
        next(run(small(), parts, Recipe.parse({"epochs": 1, "label_smoothing": s})))["train_loss"] for s in (0, 0.5)
    )
    assert plain != smooth
    still, moved = small(), small()
    list(run(still, parts, Recipe.parse({"epochs": 1, "grad_clip": 1e-9, "weight_decay": 0})))
    list(run(moved, parts, Recipe.parse({"epochs": 1, "weight_decay": 0})))
    fresh = small().state_dict()["head.weight"]
    assert torch.allclose(still.state_dict()["head.weight"], fresh, atol=1e-7)
    assert not torch.allclose(moved.state_dict()["head.weight"], fresh, atol=1e-3)


def test_streams_of_one_seed_differ() -> None:
    assert len({stream(seed, name) for seed in range(50) for name in ("weights", "order", "augment")}) == 150


def plain(*, tokens: bool) -> nn.Module:
    torch.manual_seed(0)
    first: nn.Module = nn.Embedding(5, 8) if tokens else nn.Flatten()
    return nn.Sequential(first, nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(5 if tokens else 3))


@pytest.mark.parametrize("pieces", [2, 4, 7, 100])
@pytest.mark.parametrize("kind", ["class", "token", "value"])
def test_batches_in_pieces_give_the_gradients_of_the_whole(kind: str, pieces: int) -> None:
    rng = torch.Generator().manual_seed(1)
    x, y = torch.rand(15, 2, 6, 6, generator=rng), torch.randint(0, 3, (15,), generator=rng)
    target: Target = Classes()
    if kind == "token":
        x, y = torch.randint(0, 5, (15, 6), generator=rng), torch.randint(0, 5, (15, 6), generator=rng)
        y[:5], y[7, 2:] = IGNORE, IGNORE  # whole pieces without an answer, and pieces with few
        target = Tokens()
    elif kind == "value":
        y, target = torch.rand(15, 3, generator=rng), Values((0.5, 1.0, 2.0))
    found = []
    for n in (1, pieces):
        network = plain(tokens=kind == "token")
        loss = backward(network, (x,), y, target, 0.0 if kind == "value" else 0.1, n)
        found.append((loss, [p.grad for p in network.parameters()]))
    (whole, wanted), (parted, got) = found
    assert parted.item() == pytest.approx(whole.item(), rel=1e-5)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_who_took_a_training_over_is_alone_with_its_checkpoint(small: Build, parts: Parts, tmp_path: Path) -> None:
    file, orphaned, heir = tmp_path / "0" / "last.pt", small(), small()
    orphan = run(orphaned, parts, file=file)
    next(orphan)
    (file.parent / "last.1.tmp").write_bytes(b"half of one that was killed")
    *_, last = run(heir, parts, file=file, resume=True)
    assert last["epoch"] == 4
    with pytest.raises(TrainingError, match="this trial has ended, or another worker has taken it over"):
        next(orphan)
    assert sorted(path.name for path in file.parent.iterdir()) == ["last.pt", "writer"]
    assert list(run(small(), parts, file=file, resume=True)) == [last]


def test_an_orphan_does_not_bring_back_a_folder_that_was_deleted(small: Build, parts: Parts, tmp_path: Path) -> None:
    orphan = run(small(), parts, file=tmp_path / "0" / "last.pt")
    next(orphan)
    shutil.rmtree(tmp_path / "0")
    with pytest.raises(TrainingError, match="this trial has ended"):
        next(orphan)
    assert not (tmp_path / "0").exists()
