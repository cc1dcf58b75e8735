"""Limits and objectives in whole searches, in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import nas
from nas.cli.main import main
from nas.controller.front import front
from nas.errors import LedgerError

SMALL: dict[str, Any] = {"task": "digits", "epochs": 1, "runner": "local", "recipe": {"val_fraction": 0.8}}


@pytest.mark.slow
def test_limits_hold_and_are_kept_by_resume(tmp_path: Path) -> None:
    limits = ["params<=25k", "flops<=10M"]
    options = {**SMALL, "limits": limits, "strategy": "mutation", "reference": False}
    run = nas.search("cell_cnn:channels=8,cells=1", trials=2, out=tmp_path / "run", **options)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["limits"] == limits
    run = nas.resume(tmp_path / "run", trials=2)
    trained = [trial for trial in run.trials if trial.state != "refused"]
    assert len(trained) == 4
    assert all(trial.metrics["params"] <= 25_000 for trial in trained)
    assert all(trial.reason.startswith("it breaks the limit") for trial in run.trials if trial.state == "refused")


@pytest.mark.slow
def test_latency_is_measured_on_the_worker_or_before_under_a_limit(tmp_path: Path) -> None:
    options = {**SMALL, "objectives": ["val_accuracy", "latency_ms"], "strategy": "nsga2"}
    run = nas.search("cell_cnn:channels=8,cells=1", trials=2, out=tmp_path / "free", **options)
    assert all(trial.values and trial.values[1] > 0 for trial in run.trials)
    assert all(trial.curve[-1]["latency_ms"] == trial.values[1] for trial in run.trials if trial.values)
    told = CliRunner().invoke(main, ["show", str(run.folder), "--json"])
    record = json.loads(told.output)
    assert record["front"] == [trial.number for trial in front(run.history)]
    assert record["hypervolume"] is None
    told = CliRunner().invoke(main, ["show", str(run.folder)])
    assert "front" in told.output
    assert "latency_ms" in told.output
    for trial in front(run.history):
        assert run.load(trial.number)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    chosen = front(run.history)[-1].number
    told = CliRunner().invoke(main, ["export", str(run.folder), "--trial", str(chosen), "--to", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    assert json.loads((tmp_path / "out" / "architecture.json").read_text())["metadata"]["trial"] == chosen
    with pytest.raises(LedgerError, match="expected a trial from 0 to 1, got 99"):
        run.export(trial=99)
    run = nas.search(
        "cell_cnn:channels=8,cells=1", trials=2, out=tmp_path / "limited", limits=["latency_ms<=10000"], **options
    )
    assert all("latency_ms" not in trial.curve[-1] for trial in run.trials)
    assert all(trial.values and trial.metrics["latency_ms"] == trial.values[1] for trial in run.trials)


HUGE_OR_SMALL = """
from nas import Space, chain, choice, hookimpl


def huge_or_small(b, task):
    width = choice("width", *range(4, 12), 1_000_000)
    graph = chain(stem=b.conv(channels=width), head=b.classifier(classes=task.classes))
    return Space(graph, reference={"width": 1_000_000})


@hookimpl
def nas_register(registry):
    registry.space("huge_or_small", huge_or_small)
"""


def test_what_does_not_fit_into_memory_takes_no_worker(tmp_path: Path) -> None:
    plugin = tmp_path / "huge.py"
    plugin.write_text(HUGE_OR_SMALL)
    options = {**SMALL, "plugins": [str(plugin)], "strategy": "random", "cache": False}
    run = nas.search("huge_or_small", trials=2, out=tmp_path / "run", **options)
    huge, *others = run.trials
    assert (huge.source, huge.state) == ("reference", "refused")
    assert re.fullmatch(
        r"it needs about [\d,]+ MB of memory at batch size 58, a trial has [\d,]+ MB; "
        r"try a smaller batch_size or fewer trials at once",
        huge.reason,
    )
    assert huge.metrics["memory_mb"] > 100_000
    assert [trial.state for trial in others] == ["complete", "complete"]
    assert all(trial.metrics["memory_mb"] < 500 for trial in others)
