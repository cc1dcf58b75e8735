"""Event files of a search, read back by TensorBoard's own reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.config import SearchConfig
from nas.controller.controller import Controller
from nas.controller.history import Objective
from nas.controller.job import Job
from nas.controller.ledger import Ledger
from nas.errors import CandidateError, ConfigError, UnknownNameError
from nas.parts import assemble, check_start
from nas.plugin.build import add_logger
from nas.plugin.manager import create_manager
from nas.space.graph import Signature, chain, choice
from nas.space.space import Space

pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'")

SCORE = Objective("score", "val_score", "maximize")
block = Signature("block", ("vector",), parameters={"size": 0, "kind": None})
SPACE = Space(chain(only=block(size=choice("size", *range(50)), kind=choice("kind", None, "a"))), name="sizes")


class Sampler:
    def propose(self, history: Any, rng: Any) -> Any:
        return SPACE.sample(rng)


def size_of(architecture: Any) -> dict[str, float]:
    return {"params": 10.0}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "run", SPACE, [SCORE]) as made:
        yield made


@pytest.fixture
def search(ledger: Ledger) -> Callable[..., Controller]:
    def make(logger: str = "tensorboard", check: Any = size_of) -> Controller:
        manager = create_manager()
        if logger:
            add_logger(manager, logger)
        made = Controller(ledger=ledger, strategy=("s", Sampler()), check=check, observers=manager.hook)
        made.begin()
        return made

    return make


def report(controller: Controller, number: int, epoch: int, score: float) -> None:
    metrics = {"epoch": epoch, "epochs": 3, "val_score": score, "train_loss": 1 / epoch, "seconds": 2.0 * epoch}
    controller.report(number, {**metrics, "params": 10.0})


def started(controller: Controller) -> int:
    job = controller.next()
    assert isinstance(job, Job)
    return job.number


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    found.Reload()
    return found


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in read(folder).Scalars(name)]


def test_curves_are_there_while_a_trial_runs(search: Callable[..., Controller], tmp_path: Path) -> None:
    controller = search()
    number = started(controller)
    report(controller, number, 1, 0.25)
    report(controller, number, 2, math.nan)
    report(controller, number, 3, 0.75)
    folder = tmp_path / "run" / "tensorboard" / "0"
    assert curve(folder, "val_score") == [(1, 0.25), (3, 0.75)]
    assert curve(folder, "train_loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert set(read(folder).Tags()["scalars"]) == {"val_score", "train_loss", "seconds"}
    controller.end()


def test_a_trial_has_its_decisions_and_results(search: Callable[..., Controller], tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    controller = search()
    number = started(controller)
    report(controller, number, 1, 0.5)
    controller.finish(number, "complete")
    found = read(tmp_path / "run" / "tensorboard" / "0")
    decisions = controller.history.trials[0].architecture.decisions
    text = found.Tensors("architecture/text_summary")[0].tensor_proto.string_val[0].decode()
    assert f"| size | {decisions['size']} |" in text
    assert "| proposed by | s |" in text
    assert found.Tensors("outcome/text_summary")[0].tensor_proto.string_val[0] == b"complete"
    assert [event.value for event in found.Scalars("result/score")] == [0.5]
    said = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    data = plugin_data_pb2.HParamsPluginData.FromString(said).session_start_info.hparams
    assert data["size"].number_value == decisions["size"]
    assert data["kind"].string_value == str(decisions["kind"])


def test_what_fails_says_why_and_what_is_refused_is_left_out(search: Callable[..., Controller], tmp_path: Path) -> None:
    refused = iter([True, False])

    def check(architecture: Any) -> dict[str, float]:
        if next(refused):
            raise CandidateError("too large")
        return {}

    controller = search(check=check)
    controller.next()
    number = started(controller)
    controller.finish(number, "failed", "ValueError: shapes differ")
    assert [folder.name for folder in (tmp_path / "run" / "tensorboard").iterdir()] == ["1"]
    outcome = read(tmp_path / "run" / "tensorboard" / "1").Tensors("outcome/text_summary")[0]
    assert outcome.tensor_proto.string_val[0] == b"failed: ValueError: shapes differ"


def test_it_catches_up_and_goes_on(search: Callable[..., Controller], tmp_path: Path) -> None:
    without = search(logger="")
    first, second = started(without), started(without)
    report(without, first, 1, 0.5)
    without.finish(first, "complete")
    report(without, second, 1, 0.1)

    folder = tmp_path / "elsewhere"
    for epoch in (2, 3):  # two sessions, the second of which finds the files of the first
        controller = search(f"tensorboard:folder={folder}")
        report(controller, second, epoch, epoch / 10)
        controller.end()
    assert curve(folder / "0", "val_score") == [(1, 0.5)]
    assert curve(folder / "1", "val_score") == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_it_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(*loggers: str) -> Any:
        return assemble(SearchConfig.parse({"loggers": loggers, "cache": False}))

    check_start(parts("tensorboard:folder=logs"))
    with pytest.raises(UnknownNameError, match="tensorboard"):
        parts("tensorbord")
    with pytest.raises(UnknownNameError, match="folder"):
        check_start(parts("tensorboard:foldr=logs"))
    monkeypatch.setattr("nas_plugins.tensorboard.logger.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'graphnas\[tensorboard\]'"):
        check_start(parts("tensorboard"))


@pytest.mark.slow
def test_a_search_writes_it(tmp_path: Path) -> None:
    options = {"loggers": "tensorboard", "trials": 1, "epochs": 2, "runner": "local", "cache": False}
    run = nas.search("plain_cnn", "digits", out=tmp_path / "run", **options)
    epochs = [(epoch["epoch"], epoch["val_accuracy"]) for epoch in run.trials[0].curve]
    assert curve(tmp_path / "run" / "tensorboard" / "0", "val_accuracy") == epochs
