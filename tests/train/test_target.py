from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.space.ports import Port, TaskInfo
from nas.train.target import SCORES_AT_ONCE, Classes, Tokens, Values, evaluation_batch, target_of
from nas.train.task import IGNORE, Arrays, ArrayTask


def batches(output: Tensor, y: Tensor, size: int = 7) -> list[tuple[Tensor, Tensor]]:
    return list(zip(output.split(size), y.split(size), strict=True))


def scores(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def asked(*shape: int, high: int = 5, ignored: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(high, shape, generator=generator)
    return y.masked_fill(torch.rand(shape, generator=generator) < ignored, IGNORE)


def test_what_is_measured_does_not_depend_on_the_batches() -> None:
    for target, output, y in (
        (Classes(), scores(20, 5), asked(20)),
        (Tokens((1,) * 5), scores(20, 4, 5), asked(20, 4, ignored=0.5)),
        (Values((2.0, 3.0)), scores(20, 2), scores(20, 2) + scores(20, 1)),
    ):
        one, many = target.measure([(output, y)]), target.measure(batches(output, y))
        assert one == pytest.approx(many, rel=1e-5)


def test_tokens_that_are_not_asked_for_count_nowhere() -> None:
    output, y = scores(6, 4, 5), asked(6, 4, ignored=0.6)
    known = y != IGNORE
    classes, tokens = Classes().measure([(output[known], y[known])]), Tokens().measure([(output, y)])
    assert tokens["loss"] == pytest.approx(classes["loss"])
    assert tokens["accuracy"] == pytest.approx(classes["accuracy"])
    assert int(Tokens().count(y)) == int(known.sum())
    assert Tokens().loss(output, y).item() == pytest.approx(Classes().loss(output[known], y[known]).item())
    assert Tokens().loss(output, y, 0.1).item() == pytest.approx(Classes().loss(output[known], y[known], 0.1).item())


def test_perplexity_is_torchmetrics() -> None:
    from torchmetrics.functional.text import perplexity

    output, y = scores(6, 4, 5), asked(6, 4, ignored=0.3)
    theirs = perplexity(output, y, ignore_index=IGNORE)
    assert Tokens().measure(batches(output, y))["perplexity"] == pytest.approx(theirs.item(), rel=1e-5)


def test_metrics_of_classes_that_are_asked_for_are_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_auroc, multiclass_f1_score

    output, y = scores(40, 5), asked(40)
    info = TaskInfo("some", (Port("vector", (4,)),), 5)
    task = ArrayTask(info, Arrays((), y.numpy()), lambda: Arrays((), y.numpy()))
    target = target_of(task, ["val_auroc", "params", "val_f1"])
    found = target.measure(batches(output, y))
    assert found.keys() == {"loss", "accuracy", "f1", "auroc"}
    assert found["f1"] == pytest.approx(float(multiclass_f1_score(output, y, 5, average="macro")))
    assert found["auroc"] == pytest.approx(float(multiclass_auroc(output.softmax(1), y, 5, average="macro")))
    assert 0.3 < found["auroc"] < 0.7
    ideal = target.measure([(torch.nn.functional.one_hot(y, 5).float(), y)])
    assert (ideal["f1"], ideal["auroc"]) == (1.0, 1.0)


def test_a_hopeless_network_has_a_finite_perplexity() -> None:
    output = torch.tensor([[[0.0, 1e6]]])
    assert math.isfinite(Tokens().measure([(output, torch.tensor([[0]]))])["perplexity"])


def test_bits_are_counted_by_characters() -> None:
    output, y = torch.zeros(2, 3, 4), torch.tensor([[0, 1, IGNORE], [3, 3, 3]])  # 2 bits a token
    assert Tokens((1, 1, 1, 1)).measure([(output, y)])["bpc"] == pytest.approx(2)
    assert Tokens((2, 4, 100, 3)).measure([(output, y)])["bpc"] == pytest.approx(2 * 5 / (2 + 4 + 9))
    assert "bpc" not in Tokens().measure([(output, y)])


def test_values_are_torchmetrics_and_the_loss_is_in_units_of_the_deviation() -> None:
    from torchmetrics.functional.regression import mean_absolute_error, r2_score, spearman_corrcoef

    y = scores(30, 2) * torch.tensor([100.0, 1.0])
    output = y + scores(30, 2).flip(0) * torch.tensor([50.0, 0.5])
    found = Values((100.0, 1.0)).measure(batches(output, y))
    assert found["r2"] == pytest.approx(r2_score(output, y).item(), rel=1e-4)
    assert found["mae"] == pytest.approx(mean_absolute_error(output, y).item(), rel=1e-4)
    assert found["spearman"] == pytest.approx(spearman_corrcoef(output, y).mean().item(), rel=1e-4)
    assert found["loss"] == pytest.approx((((output - y) / torch.tensor([100.0, 1.0])) ** 2).mean().item(), rel=1e-4)
    assert 0.2 < found["loss"] < 0.4


def test_one_value_an_example_may_have_no_axis_of_its_own() -> None:
    output, y = scores(9, 1), scores(9, 1).flip(0)
    target = Values((1.0,))
    assert target.loss(output, y[:, 0]).item() == pytest.approx(target.loss(output, y).item())
    assert target.measure(batches(output, y[:, 0])) == target.measure(batches(output, y))


def test_constants_correlate_with_nothing() -> None:
    y = scores(9, 1)
    flat = Values((1.0,)).measure([(torch.zeros(9, 1), y)])
    assert flat["pearson"] == flat["spearman"] == 0
    assert flat["r2"] <= 0
    assert Values((1.0,)).measure([(y, torch.zeros(9, 1))])["r2"] == 0
    nearly = torch.full((9, 1), 1e5)
    nearly[0] += 0.02
    assert math.isfinite(Values((1.0,)).measure([(nearly, y)])["pearson"])
    assert Values((1.0,)).measure([(y[:1], y[:1])])["r2"] == 0


def task(target: str, y: np.ndarray, outputs: int = 3) -> ArrayTask:
    info = TaskInfo("some", (Port("tokens", (4,)),), outputs, target, vocabulary=3)  # type: ignore[arg-type]
    arrays = Arrays((np.zeros((len(y), 4), dtype=np.int64),), y)
    return ArrayTask(info, arrays, lambda: arrays)


def test_the_task_says_what_is_asked() -> None:
    assert target_of(task("class", np.array([0, 1, 2]))) == Classes()
    tokens = task("token", np.zeros((2, 4), dtype=np.int64))
    assert target_of(replace(tokens, characters=(1, 2, 3))) == Tokens((1, 2, 3))
    assert target_of(task("value", np.array([1, 3], dtype=np.float32), 1)) == Values((1.0,))


def test_large_answers_are_evaluated_in_small_batches() -> None:
    y = np.zeros((2, 4), dtype=np.int64)
    assert evaluation_batch(task("class", y[:, 0]).info) == 512
    many = evaluation_batch(task("token", y, 50_000).info)
    assert many * 4 * 50_000 <= SCORES_AT_ONCE < (many + 1) * 4 * 50_000
    assert evaluation_batch(task("token", y, 10**9).info) == 1
