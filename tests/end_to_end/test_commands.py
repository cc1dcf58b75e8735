"""The commands of the README, over real Ray, and a driver killed with `kill -9`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import nas
from tests.end_to_end.conftest import Command, command, shown, states

SPACE = '''
from nas import chain, choice, dense_cell, hookimpl, repeat

def mine(b, task, *, channels=4, cells=1):
    """A cell whose six edges choose one of five blocks."""
    edge = lambda i, j: choice(f"edge{i}{j}", b.zero(), b.identity(), b.conv(kernel=1), b.conv(kernel=3), b.avg_pool())
    cell = repeat(dense_cell(4, edge, join=b.add()), cells)
    return chain(stem=b.conv(channels=channels), stage1=cell, down1=b.reduction(channels=2 * channels), stage2=cell,
                 down2=b.reduction(channels=4 * channels), stage3=cell, head=b.classifier(classes=task.classes))

@hookimpl
def nas_register(registry):
    registry.space("mine", mine)
'''

pytestmark = pytest.mark.slow


def lines(said: str) -> list[dict[str, Any]]:
    """The events of ``--json-lines``, if standard output has nothing else."""
    return [json.loads(line) for line in said.splitlines()]


def test_search_show_resume_export(nas_command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('space = "macro_cnn:channels=4,depth=1"\ntrials = 2\nepochs = 1\nout = "run"\n')
    said = nas_command("search", "mine.toml", "--seed", "2").stdout
    assert "test accuracy" in said
    assert 'run_path("' in said
    first = shown(nas_command, "run")
    assert states(first) == ["complete"] * 2
    assert first["config"]["seed"] == 2
    assert first["best"]["test_accuracy"] > 0.1

    events = lines(nas_command("resume", "run", "--trials", "1", "more", "--runner", "local", "--json-lines").stdout)
    assert [event["event"] for event in events] == ["search", "started", "epoch", "finished", "summary"]
    assert events[0]["trials_before"] == 2
    record = shown(nas_command, "run")
    assert states(record) == ["complete"] * 3
    assert record["trials"][:2] == first["trials"]

    written = nas_command("export", "run", "--to", "out").stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"model.py", "weights.safetensors", "architecture.json"}
    assert "model.py" in written
    one = json.loads(nas_command("show", "run", "--trial", "0", "--json").stdout)
    assert [epoch["epoch"] for epoch in one["curve"]] == [1]
    assert "trial 0 begins" in Path(one["log"]).read_text()


def test_a_space_in_one_file(nas_command: Command, tmp_path: Path) -> None:
    (tmp_path / "myspace.py").write_text(SPACE)
    assert len([line for line in SPACE.splitlines() if line.strip()]) <= 15
    records = json.loads(nas_command("spaces", "--plugin", "myspace.py", "--json").stdout)
    mine = next(record for record in records if record["name"] == "mine")
    assert mine["size"] == 15625
    assert mine["summary"] == "A cell whose six edges choose one of five blocks."
    arguments = ["--plugin", "myspace.py", "--space", "mine", "--trials", "3", "--epochs", "1", "--out", "run"]
    events = lines(nas_command("search", *arguments, "--json-lines").stdout)
    assert [event["event"] for event in events].count("epoch") == 3
    assert events[-1]["states"] == {"complete": 3}
    assert states(shown(nas_command, "run")) == ["complete"] * 3


def test_killed_and_resumed(nas_command: Command, tmp_path: Path) -> None:
    arguments = ["--space", "cell_cnn:channels=4", "--trials", "5", "--epochs", "8", "--out", "run"]
    driver = subprocess.Popen(command("search", *arguments), cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        before = _wait_for_work(tmp_path / "run", driver)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    killed = nas.load_run(tmp_path / "run")
    assert any(trial.state == "running" and trial.curve for trial in killed.trials), before

    nas_command("resume", "run")
    resumed = nas.load_run(tmp_path / "run")
    assert [trial.state for trial in resumed.trials] == ["complete"] * 5
    assert len({trial.digest for trial in resumed.trials}) == 5
    for old, new in zip(killed.trials, resumed.trials, strict=False):
        if old.finished:
            assert new == old
        assert [epoch["epoch"] for epoch in new.curve] == list(range(1, 9))
        assert new.curve[: len(old.curve)] == old.curve, "epochs that were trained are not trained again"


def _wait_for_work(run: Path, driver: subprocess.Popen[Any]) -> str:
    """Until a trial is complete and another is in its third epoch."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert driver.poll() is None, "the search ended before it could be killed"
        if (run / "config.json").is_file() and (run / "ledger.journal").is_file():
            trials = nas.load_run(run).trials
            running = [trial for trial in trials if trial.state == "running" and len(trial.curve) >= 3]
            if running and any(trial.finished for trial in trials):
                return f"{len(trials)} trials"
        time.sleep(0.1)
    pytest.fail("no trial was complete with another one running within two minutes")
