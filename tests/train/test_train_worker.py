from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.errors import CandidateError, ConfigError, TaskError, TrainingError
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.ports import Port, TaskInfo
from nas.train.task import ArrayTask
from nas.train.winner import evaluate_test, load_trained
from nas.train.worker import Worker, choose_device, faster_layout

ROWS = TaskInfo("rows", (Port("image", (2, 6, 6)),), 3)
Config = dict[str, Any]


@pytest.fixture(scope="session")
def architecture(registry: Registry) -> Architecture:
    return build_space(registry, "cell_cnn:channels=4", ROWS).reference


def job(architecture: Architecture, number: int = 0, seed: int = 1, resume: bool = False) -> dict[str, Any]:
    return {"number": number, "architecture": architecture.to_dict(), "seed": seed, "resume": resume}


def values(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "seconds"}


def test_a_trial_gives_its_metrics_and_its_checkpoint_without_the_test_part(
    config: Config, architecture: Architecture
) -> None:
    worker = Worker(config)
    curve = list(worker.trial(job(architecture, number=4)))
    keys = {"epoch", "epochs", "train_loss", "val_loss", "val_accuracy", "seconds", "params", "flops"}
    assert [set(metrics) for metrics in curve] == [keys, keys]
    assert curve[-1]["params"] == sum(p.numel() for p in worker.blueprint(architecture).build().parameters())
    assert Path(config["run"], "checkpoints", "4", "last.pt").is_file()
    worker.close()


def test_the_task_of_these_tests_would_notice(registry: Registry, config: Config) -> None:
    from nas.plugin.manager import create_manager
    from nas.train.task import open_task

    with pytest.raises(TaskError, match="the test part was read"):
        open_task(create_manager(config["plugins"]).registry, "rows")


def test_trials_do_not_depend_on_what_the_worker_did_before(config: Config, architecture: Architecture) -> None:
    worker = Worker(config)
    first, other, again = (
        [values(m) for m in worker.trial(job(architecture, number, seed))] for number, seed in ((0, 1), (1, 2), (2, 1))
    )
    assert first == again
    assert first != other


def test_another_worker_goes_on_where_the_first_stopped(config: Config, architecture: Architecture) -> None:
    whole = [values(m) for m in Worker(config).trial(job(architecture, 0))]
    list(islice(Worker(config).trial(job(architecture, 1)), 1))
    again, *rest = (values(m) for m in Worker(config).trial(job(architecture, 1, resume=True)))
    assert [again, *rest] == whole
    trained = [load_trained(config, architecture, number).state_dict() for number in (0, 1)]
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_the_winner_comes_back_as_it_was_trained(
    config: Config, architecture: Architecture, array_task: ArrayTask
) -> None:
    worker = Worker(config)
    *_, last = worker.trial(job(architecture))
    network = load_trained(config, architecture, 0)
    assert not network.training
    from nas.train.loop import evaluate

    loss, accuracy = evaluate(network, worker.validation).values()
    assert accuracy == last["val_accuracy"]
    assert loss == pytest.approx(last["val_loss"], rel=1e-4)
    found = evaluate_test(network, array_task)
    assert set(found) == {"test_loss", "test_accuracy"}
    assert 0 <= found["test_accuracy"] <= 1


def test_normalisation_comes_from_what_is_trained_on(config: Config, architecture: Architecture) -> None:
    worker = Worker(config)
    list(worker.trial(job(architecture)))
    buffers = dict(load_trained(config, architecture, 0).named_buffers())
    pixels = worker.data.x[0].double()
    assert torch.allclose(buffers["input_mean"].flatten().double(), pixels.mean((0, 2, 3)))
    assert torch.allclose(buffers["input_std"].flatten().double(), pixels.std((0, 2, 3), correction=0))


def test_without_a_checkpoint_there_is_no_winner(config: Config, architecture: Architecture) -> None:
    with pytest.raises(TrainingError, match=r"trial 3 has no checkpoint: expected .*3/last\.pt"):
        load_trained(config, architecture, 3)


def test_training_and_validation_part_have_nothing_in_common(config: Config) -> None:
    worker = Worker(config)
    assert (len(worker.data), len(worker.validation)) == (48, 12)
    seen = {x.numpy().tobytes() for x in worker.data.x[0]}
    assert not any(x.numpy().tobytes() in seen for x in worker.validation.x[0])


def test_the_number_of_threads_is_what_was_asked_for(config: Config) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            Worker({**config, "threads": threads})
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_wrong_options_stop_the_worker(config: Config) -> None:
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        Worker({**config, "recipe": {"epoch": 3}})


def test_a_candidate_that_cannot_be_built_says_so_and_the_worker_goes_on(
    config: Config, architecture: Architecture, registry: Registry
) -> None:
    worker = Worker(config)
    other = build_space(registry, "cell_cnn:channels=4", TaskInfo("other", (Port("image", (2, 6, 6)),), 7)).reference
    with pytest.raises(CandidateError, match="needs a vector"):
        list(worker.trial(job(other)))
    assert len(list(worker.trial(job(architecture)))) == 2


GREEDY = '''
from torch import Tensor, nn


class Greedy(nn.Module):
    """Wants more memory than there is, once it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return x + (x.new_empty(1 << 46)[0] if x.device.type != "meta" else 0)
'''


def test_a_candidate_that_needs_too_much_memory_fails_in_clear_words(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.plugin.manager import create_manager
    from nas.space.graph import chain
    from nas.space.space import Space

    (tmp_path / "greedy_block.py").write_text(GREEDY)
    (tmp_path / "greedy.py").write_text(
        "from nas.plugin.hooks import hookimpl\n\n\n@hookimpl\ndef nas_register(registry):\n"
        '    registry.block("greedy", "greedy_block:Greedy", inputs=("image",))\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config["plugins"].append(str(tmp_path / "greedy.py"))
    b = create_manager(config["plugins"]).registry.blocks
    greedy = Space(chain(stem=b.conv(channels=4), more=b.greedy(), head=b.classifier(classes=3))).reference
    with pytest.raises(TrainingError, match=r"out of memory on cpu: .*smaller batch_size .*allocate") as caught:
        list(Worker(config).trial(job(greedy)))
    assert caught.value.__context__ is None, "the first error holds the memory that is to be free for the next trial"


HUNGRY = '''
from torch import Tensor, nn


class Hungry(nn.Module):
    """Wants more memory than there is for more than four examples, from its fourth step on."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.device.type != "meta":
            self.steps += 1
            if len(x) > 4 and self.steps > 3:
                x.new_empty(1 << 46)
        return x
'''


def test_what_runs_out_of_memory_goes_on_from_its_last_epoch_in_smaller_pieces(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.plugin.manager import create_manager
    from nas.space.graph import chain
    from nas.space.space import Space

    (tmp_path / "hungry_block.py").write_text(HUNGRY)
    (tmp_path / "hungry.py").write_text(
        "from nas.plugin.hooks import hookimpl\n\n\n@hookimpl\ndef nas_register(registry):\n"
        '    registry.block("hungry", "hungry_block:Hungry", inputs=("image",))\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config |= {"plugins": [*config["plugins"], str(tmp_path / "hungry.py")], "recipe": {"epochs": 3, "batch_size": 16}}
    b = create_manager(config["plugins"]).registry.blocks
    hungry = Space(chain(stem=b.conv(channels=4), more=b.hungry(), head=b.classifier(classes=3))).reference
    curve = list(Worker(config).trial(job(hungry)))
    assert [metrics["epoch"] for metrics in curve] == [1, 2, 3]
    assert [metrics.get("micro_batches") for metrics in curve] == [None, 4, 4]
    assert load_trained(config, hungry, 0) is not None


class Views(nn.Module):
    """A block as people write them, which only the usual layout lets through."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).view(len(x), -1)


def test_channels_last_only_where_the_network_runs_so(small: Callable[[], nn.Module], config: Config) -> None:
    data = Worker(config).data
    fast = faster_layout(small(), data)
    assert fast.training
    assert fast.get_parameter("conv.weight").is_contiguous(memory_format=torch.channels_last)
    usual = faster_layout(Views(), data)
    assert usual.get_parameter("conv.weight").is_contiguous()
    (x,), _ = data.batch(torch.arange(3))
    assert usual(x).shape == (3, 64)


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.slow
def test_digits_are_learned(registry: Registry, tmp_path: Path) -> None:
    config = {
        "plugins": [],
        "task": "digits",
        "recipe": {"epochs": 6},
        "seed": 0,
        "run": str(tmp_path),
        "threads": 1,
        "device": "cpu",
    }
    digits = TaskInfo("digits", (Port("image", (1, 8, 8)),), 10)
    best = build_space(registry, "cell_cnn:channels=8", digits).reference
    *_, last = Worker(config).trial(job(best))
    assert last["val_accuracy"] > 0.95
    from nas.train.task import open_task

    assert evaluate_test(load_trained(config, best, 0), open_task(registry, "digits"))["test_accuracy"] > 0.93


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_resumes_and_hands_over(
    config: Config, architecture: Architecture, array_task: ArrayTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    config |= {"device": "cuda", "recipe": {"epochs": 4, "batch_size": 16, "augment": "crop,flip,cutout"}}
    worker = Worker(config)
    assert worker.data.x[0].device.type == "cuda"
    list(islice(worker.trial(job(architecture)), 2))
    assert [m["epoch"] for m in worker.trial(job(architecture, resume=True))] == [2, 3, 4]
    monkeypatch.setattr("nas.train.data.SHARE_OF_FREE_MEMORY", 0)
    outside = Worker(config)
    assert outside.data.x[0].device.type == "cpu"
    assert len(list(outside.trial(job(architecture, 1)))) == 4
    network = load_trained(config, architecture, 0)
    assert evaluate_test(network, array_task)["test_accuracy"] > 0.4
    assert evaluate_test(network, array_task, "cuda")["test_accuracy"] > 0.4


def test_proxies_score_on_a_warm_worker_as_in_any_process(
    config: Config, architecture: Architecture, registry: Registry, array_task: ArrayTask
) -> None:
    from nas.train.score import score

    worker = Worker(config)
    names = ["naswot", "snip", "zen"]
    found = worker.score(architecture.to_dict(), names)
    assert set(found["scores"]) == set(found["seconds"]) == set(names)
    assert found["refusals"] == {}
    list(worker.trial(job(architecture)))
    assert worker.score(architecture.to_dict(), names)["scores"] == found["scores"]
    (alone,) = score([architecture], array_task, names, registry=registry, seed=config["seed"])
    assert alone.values == pytest.approx(found["scores"])
    worker.close()
