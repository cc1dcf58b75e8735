from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.train.data import Data
from nas.train.task import Arrays

CPU = torch.device("cpu")


def numbered(examples: int, dtype: type = np.float32) -> Data:
    return Data(Arrays((np.arange(examples, dtype=dtype)[:, None],), np.arange(examples)), CPU)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(2, 200), st.integers(2, 70))
def test_an_epoch_has_everything_once_in_batches_of_one_size(examples: int, batch_size: int) -> None:
    data = numbered(examples)
    batches = list(data.shuffled(batch_size, generator(), generator()))
    sizes = [len(y) for _, y in batches]
    assert sorted(torch.cat([y for _, y in batches]).tolist()) == list(range(examples))
    assert len(batches) == data.steps(batch_size)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
    assert all(torch.equal(x[:, 0].long(), y) for (x,), y in batches)


def test_the_order_follows_its_generator_and_goes_on() -> None:
    data, order = numbered(30), generator()

    def epoch(source: torch.Generator) -> list[int]:
        return [int(i) for _, y in data.shuffled(8, source, generator()) for i in y]

    first, second = epoch(order), epoch(order)
    assert first != second
    assert [epoch(again := generator()), epoch(again)] == [first, second]


def test_augmentation_changes_the_first_input_and_not_the_order() -> None:
    data = numbered(30)
    plain = [y for _, y in data.shuffled(8, generator(), generator())]
    changed = list(data.shuffled(8, generator(), generator(), [lambda x, g: x + torch.rand(1, generator=g) + 1]))
    assert all(torch.equal(one, y) for one, (_, y) in zip(plain, changed, strict=True))
    assert all((x[:, 0] > y).all() for (x,), y in changed)


def test_only_what_is_trained_on_is_drawn_anew_and_each_time_otherwise() -> None:
    def redraw(x: torch.Tensor, y: torch.Tensor, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return x + torch.rand(1, generator=draws) + 1, y + 100

    data = Data(Arrays((np.arange(9, dtype=np.float32)[:, None],), np.arange(9)), CPU, redraw=redraw)
    order, draws = generator(), generator()
    first, second = (sorted(x.item() for (xs,), _ in data.shuffled(4, order, draws) for x in xs) for _ in range(2))
    assert first != second
    for (x,), y in data.shuffled(4, order, draws):
        assert (x[:, 0] > y - 100).all()
        assert (y >= 100).all()
    assert torch.cat([x[:, 0] for (x,), _ in data.in_order()]).tolist() == list(range(9))


@pytest.mark.parametrize(
    ("dtype", "held", "given"),
    [
        (np.uint8, torch.uint8, torch.float32),
        (np.float32, torch.float32, torch.float32),
        (np.int64, torch.int64, torch.int64),
    ],
)
def test_data_stay_as_they_came_and_become_numbers_in_the_batch(
    dtype: type, held: torch.dtype, given: torch.dtype
) -> None:
    data = numbered(9, dtype)
    assert data.x[0].dtype == held
    ((x,), _), *_ = data.in_order()
    assert x.dtype == given


def test_in_order_is_in_order() -> None:
    assert torch.cat([y for _, y in numbered(23).in_order(5)]).tolist() == list(range(23))


def test_several_inputs_stay_together() -> None:
    arrays = Arrays((np.arange(6)[:, None], 10 * np.arange(6)[:, None]), np.arange(6))
    for (one, other), y in Data(arrays, CPU).shuffled(4, generator(), generator()):
        assert torch.equal(10 * one, other)
        assert torch.equal(one[:, 0], y)
