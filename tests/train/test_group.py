"""Trials that several real processes train together, over gloo on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn

from nas.errors import LostProcessError
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.train.group import Alone
from nas.train.loop import backward
from nas.train.target import Classes, Target, Tokens
from nas.train.task import IGNORE, open_task
from nas.train.winner import load_trained
from nas.train.worker import Worker

Config = dict[str, Any]

PLUGIN = '''
from nas import Port, Space, TaskInfo, chain, hookimpl
from nas.train.task import Arrays, ArrayTask


def uneven(*, examples: int = 55):
    """Vectors of noise that say their class, fifteen of them in most batches."""
    import numpy as np

    def arrays(seed, n):
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 3
        return Arrays(((rng.normal(0, 1, (n, 6)) + np.eye(3, 6)[y]).astype(np.float32),), y)

    return ArrayTask(TaskInfo("uneven", (Port("vector", (6,)),), 3), arrays(0, examples), lambda: arrays(1, 10))


def plain(b, task):
    """No batch norm and no dropout."""
    return Space(chain(a=b.linear(features=8), act=b.activation(), head=b.linear(features=task.outputs)))


def hungry(b, task):
    """What wants too much memory in one process only."""
    return Space(chain(a=b.linear(features=8), more=b.hungry(), head=b.linear(features=task.outputs)))


@hookimpl
def nas_register(registry):
    registry.task("uneven", uneven)
    registry.space("plain", plain)
    registry.space("hungry", hungry)
    registry.block("hungry", "hungry_of_two:Hungry", inputs=("vector",))
'''

HUNGRY = '''
import sys

from torch import Tensor, nn


class Hungry(nn.Module):
    """Wants more memory than there is for more than four examples, in the second of two processes."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.device.type != "meta" and "nas.train.peer" in sys.orig_argv and len(x) > 4:
            x.new_empty(1 << 46)
        return x
'''


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("group")
    (folder / "plugin_of_two.py").write_text(PLUGIN)
    (folder / "hungry_of_two.py").write_text(HUNGRY)
    return {
        "plugins": [str(folder / "plugin_of_two.py")],
        "task": "uneven",
        "recipe": {"epochs": 3, "batch_size": 16, "optimizer": "sgd", "lr": 0.05, "grad_clip": 0.5},
        "seed": 1,
        "run": str(folder / "run"),
        "threads": 1,
        "device": "cpu",
        "processes": 2,
    }


@pytest.fixture(scope="module")
def worker(config: Config) -> Iterator[Worker]:
    sys.path.append(str(Path(config["run"]).parent))  # where the block is; the processes that are started get it, too
    made = Worker(config)
    yield made
    made.close()
    sys.path.pop()


def architecture(config: Config, space: str = "plain") -> Architecture:
    registry = create_manager(config["plugins"]).registry
    return build_space(registry, space, open_task(registry, config["task"], check=False).info).reference


def job(made: Architecture, number: int, resume: bool = False) -> dict[str, Any]:
    return {"number": number, "architecture": made.to_dict(), "seed": 1, "resume": resume}


def weights(config: Config, made: Architecture, number: int) -> dict[str, Tensor]:
    return dict(load_trained(config, made, number).state_dict())


def assert_near(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6)


def peers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "nas.train.peer" in child.cmdline()]


def test_two_processes_train_as_one_does(config: Config, worker: Worker) -> None:
    made = architecture(config)
    alone = Worker({**config, "processes": 1})
    [*_, one], [*_, two] = alone.trial(job(made, 0)), worker.trial(job(made, 1))
    assert len(peers()) == 1
    assert_near(weights(config, made, 0), weights(config, made, 1))
    assert two.keys() == one.keys()
    assert [two[name] for name in ("epoch", "train_loss", "val_loss")] == pytest.approx(
        [one[name] for name in ("epoch", "train_loss", "val_loss")], abs=1e-5
    )


def test_a_trial_that_was_left_goes_on_at_its_epoch_with_as_many_or_fewer(config: Config, worker: Worker) -> None:
    made = architecture(config)
    whole = [metrics["val_loss"] for metrics in worker.trial(job(made, 2))]
    before = peers()
    for number, next_worker in ((3, worker), (4, Worker({**config, "processes": 1}))):
        list(islice(worker.trial(job(made, number)), 1))  # as a scheduler does
        again = list(next_worker.trial(job(made, number, resume=True)))
        assert [metrics["epoch"] for metrics in again] == [1, 2, 3]
        assert [metrics["val_loss"] for metrics in again] == pytest.approx(whole, abs=1e-5)
    assert peers() == before


def test_a_process_that_is_killed_loses_its_trial_an_epoch_at_most(config: Config, worker: Worker) -> None:
    made = architecture(config)
    epochs = worker.trial(job(made, 5))
    next(epochs)
    [peer] = peers()
    peer.kill()
    with pytest.raises(LostProcessError, match=r"^process 1 of the 2 that trained the trial died by signal 9$"):
        next(epochs)
    assert not peers()
    assert [metrics["epoch"] for metrics in worker.trial(job(made, 5, resume=True))] == [1, 2, 3]
    [peer] = peers()
    peer.kill()  # while there is nothing to do
    peer.wait(5)
    assert len(list(worker.trial(job(made, 6)))) == 3


def test_what_runs_out_of_memory_in_one_process_goes_on_in_smaller_pieces(config: Config, worker: Worker) -> None:
    curve = list(worker.trial(job(architecture(config, "hungry"), 7)))
    assert [(metrics["epoch"], metrics["micro_batches"]) for metrics in curve] == [(1, 4), (2, 4), (3, 4)]


class Share(Alone):
    """Of a batch, what one of several processes gets, without the others."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def share(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(tensor.tensor_split(self.size)[self.rank] for tensor in batch)


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("kind", ["class", "token"])
def test_the_mean_of_the_gradients_of_all_shares_is_that_of_the_batch(kind: str, pieces: int) -> None:
    torch.manual_seed(0)
    network = nn.Linear(5, 4)
    x, y = torch.randn(11, 3, 5), torch.randint(0, 4, (11, 3))
    y[:4] = IGNORE  # the first share asks for nothing
    target: Target = Tokens()
    if kind == "class":
        x, y, target = x[:, 0], y[:, 1].clamp(min=0), Classes()

    def gradients(group: Alone, pieces: int = 1) -> tuple[Tensor, Tensor]:
        network.zero_grad()
        loss = backward(network, (x,), y, target, 0.1, pieces, group=group)
        assert network.weight.grad is not None
        return network.weight.grad.clone(), loss

    whole = gradients(Alone())
    shares = [gradients(Share(rank, 3), pieces) for rank in range(3)]
    for wanted, found in zip(whole, zip(*shares, strict=True), strict=True):
        torch.testing.assert_close(torch.stack(found).mean(0), wanted)
