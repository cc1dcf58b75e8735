"""A scheduler in a whole search on Ray: bad trials are stopped, and keep what they had."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas


@pytest.mark.slow
def test_asha_stops_bad_trials(tmp_path: Path) -> None:
    run = nas.search(
        "cell_cnn:channels=4,cells=1", "digits", trials=8, epochs=3, strategy="random", concurrency=1,
        scheduler="asha:reduction_factor=2", recipe={"val_fraction": 0.8}, out=tmp_path / "run",
    )  # fmt: skip
    stopped = [trial for trial in run.trials if trial.state == "stopped"]
    assert stopped
    for trial in stopped:
        assert len(trial.curve) < 3
        assert trial.values == (trial.curve[-1]["val_accuracy"],)
    assert run.best is not None
    assert run.best.state == "complete"
