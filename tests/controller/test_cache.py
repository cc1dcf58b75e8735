"""Results that are known from earlier searches: kept, answered once, and never in the way."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nas.controller.cache import ResultCache, drop_oldest
from nas.controller.checkpoints import checkpoint_file
from nas.controller.controller import Controller
from nas.controller.history import Objective, Trial
from nas.controller.job import Done, Job
from nas.controller.ledger import Ledger
from nas.space.space import Space

SCORE = Objective("score", "score", "maximize")


def run(search: Controller, score: Callable[[int], float] = lambda number: number / 100) -> list[int]:
    """Trains what is to be trained; gives the numbers of the trials that were."""
    trained = []
    while not isinstance(answer := search.next(), Done):
        if isinstance(answer, Job):
            trained.append(answer.number)
            for epoch in (1, 2):
                search.report(answer.number, {"epoch": epoch, "score": score(answer.number), "seconds": 3.0 * epoch})
            search.finish(answer.number, "complete")
    return trained


@pytest.fixture
def searched(tmp_path: Path, space: Space, controller: Callable[..., Controller]) -> tuple[ResultCache, list[Trial]]:
    """A cache with what a search of 10 trials found, and the weights of its best."""
    cache = ResultCache(tmp_path / "cache", {"task": "one"})
    search = controller(budget=10, cache=cache)
    assert len(run(search)) == 10
    file = tmp_path / "weights"
    file.write_bytes(b"weights of the best")
    cache.keep([(search.ledger.trials[9], file)])
    return cache, list(search.ledger.trials)


def again(tmp_path: Path, space: Space, controller: Callable[..., Controller], cache: ResultCache) -> Controller:
    return controller(ledger=Ledger.create(tmp_path / "again", space, [SCORE]), budget=10, cache=cache)


def test_what_was_trained_is_answered_with_its_whole_curve(
    tmp_path: Path, space: Space, controller: Callable[..., Controller], searched: tuple[ResultCache, list[Trial]]
) -> None:
    cache, before = searched
    search = again(tmp_path, space, controller, cache)
    trained = run(search)
    # each of these was the best until then, so that its weights are wanted; the last one has them
    assert trained == list(range(9))
    last = search.ledger.trials[9]
    assert (last.cached, last.state, last.seconds) == (True, "complete", 6.0)
    assert (last.curve, last.values, last.digest) == (before[9].curve, before[9].values, before[9].digest)
    assert checkpoint_file(tmp_path / "again", 9).read_bytes() == b"weights of the best"
    assert search.ledger.busy_seconds == pytest.approx(9 * 6.0, abs=60)
    search.ledger.close()
    with Ledger.open(tmp_path / "again", space) as ledger:
        assert ledger.trials[9] == last
    study = optuna.load_study(
        study_name=None, storage=JournalStorage(JournalFileBackend(str(tmp_path / "again" / "ledger.journal")))
    )
    assert study.trials[9].state.name == "COMPLETE"
    assert study.best_value == 0.09


def test_weights_are_wanted_of_the_best_alone(
    tmp_path: Path, space: Space, controller: Callable[..., Controller], searched: tuple[ResultCache, list[Trial]]
) -> None:
    cache, _ = searched
    for file in cache.folder.rglob("*.pt"):
        file.unlink()
    search = again(tmp_path, space, controller, cache)
    first = search.next()
    assert isinstance(first, Job)
    search.report(first.number, {"epoch": 1, "score": 1.0})
    search.finish(first.number, "complete")
    assert run(search) == []
    assert [trial.cached for trial in search.ledger.trials] == [False] + [True] * 9
    search.ledger.close()


def test_another_context_knows_nothing(searched: tuple[ResultCache, list[Trial]]) -> None:
    cache, trials = searched
    assert cache.get(trials[3].digest) is not None
    assert ResultCache(cache.folder, {"task": "another"}).get(trials[3].digest) is None
    assert cache.get("no such digest") is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"curve": 3}', b'{"curve": [], "metrics": [], "seconds": "x"}']
)
def test_a_broken_entry_is_none(searched: tuple[ResultCache, list[Trial]], content: bytes) -> None:
    cache, trials = searched
    for file in cache.folder.rglob("*.json"):
        file.write_bytes(content)
    assert all(cache.get(trial.digest) is None for trial in trials)


def test_a_value_that_is_not_known_is_trained(
    tmp_path: Path, space: Space, controller: Callable[..., Controller], searched: tuple[ResultCache, list[Trial]]
) -> None:
    both = [SCORE, Objective("loss", "loss", "minimize")]
    search = controller(ledger=Ledger.create(tmp_path / "both", space, both), budget=1, cache=searched[0])
    assert isinstance(search.next(), Job)
    search.ledger.close()


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, controller: Callable[..., Controller], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert len(run(controller(budget=4, cache=ResultCache(tmp_path / "file", {})))) == 4
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "results are not kept for other searches"
    ]


def test_what_was_asked_for_longest_ago_goes_first(searched: tuple[ResultCache, list[Trial]]) -> None:
    cache, trials = searched
    for age, file in enumerate(sorted(cache.folder.rglob("*.*"))):
        os.utime(file, (1000 + age, 1000 + age))
    assert cache.get(trials[4].digest) is not None
    drop_oldest(cache.folder, most=300)
    assert cache.get(trials[4].digest) is not None
    assert cache.get(trials[5].digest) is None
