"""A search that goes on with other objectives than it began with."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas
from nas.controller.front import front
from nas.errors import LedgerError

OPTIONS = {"trials": 4, "epochs": 1, "runner": "local", "proxies": (), "strategy": "random"}


def test_finished_trials_are_judged_by_the_new_objectives(tmp_path: Path) -> None:
    before = nas.search("cell_cnn:channels=4", out=tmp_path / "run", **OPTIONS)
    wanted = ("val_accuracy", "params", "latency_ms")
    after = nas.resume(tmp_path / "run", trials=2, objectives=wanted)
    assert [objective.name for objective in after.history.objectives] == list(wanted)
    assert [trial.state for trial in after.trials] == ["complete"] * 6
    for old, new in zip(before.trials, after.trials, strict=False):
        assert (new.digest, new.curve, new.seconds, new.source) == (old.digest, old.curve, old.seconds, old.source)
        assert new.values is not None
        assert new.values[:2] == (old.metrics["val_accuracy"], old.metrics["params"])
        assert 0 < new.values[2] < 1000
    assert len(front(after.history)) >= 1
    assert list((tmp_path / "run").glob("ledger.*.before"))
    again = nas.resume(tmp_path / "run", trials=1)
    assert [objective.name for objective in again.history.objectives] == list(wanted)
    assert len(again.trials) == 7


def test_a_search_goes_by_a_metric_that_is_computed_for_it_only(tmp_path: Path) -> None:
    run = nas.search("cell_cnn:channels=4", objectives=("val_f1",), out=tmp_path / "run", **{**OPTIONS, "trials": 1})
    (trial,) = run.trials
    assert trial.values == (trial.metrics["val_f1"],)
    assert 0 < trial.metrics["val_f1"] < trial.metrics["val_accuracy"] + 0.1
    assert "test_f1" in run.results
    assert "val_auroc" not in trial.metrics


def test_what_nobody_can_know_is_refused_before_anything_changes(tmp_path: Path) -> None:
    nas.search("cell_cnn:channels=4", out=tmp_path / "run", **{**OPTIONS, "trials": 1})
    record = (tmp_path / "run" / "ledger.journal").read_bytes()
    with pytest.raises(LedgerError, match="objective 'val_perplexity' cannot be added: trial 0 has no val_perplexity"):
        nas.resume(tmp_path / "run", trials=1, objectives=("val_accuracy", "val_perplexity"))
    assert (tmp_path / "run" / "ledger.journal").read_bytes() == record
    assert nas.resume(tmp_path / "run", trials=1).best is not None
