"""A real search with the default strategy: zero-cost scores from the worker, a few of them, kept and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import nas
from nas.cli.main import main


@pytest.mark.slow
def test_a_search_scores_a_little_and_says_what_the_scores_were_worth(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = nas.search(
        "cell_cnn:channels=8", "digits", trials=10, epochs=2, proxies=["synflow", "params"], runner="local", out=out
    )
    assert {trial.source for trial in run.trials} == {"reference", "auto"}
    assert run.history.scores
    assert all(set(found) <= {"synflow", "params"} for found in run.history.scores.values())
    shown = CliRunner().invoke(main, ["show", str(out)]).output
    assert f"of {len(run.history.scores)} networks" in shown
    again = nas.resume(out, trials=1, runner="local")
    assert again.history.scores.items() >= run.history.scores.items()


def test_proxies_are_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(nas.NasError, match="unknown proxy 'synflo'; did you mean 'synflow'"):
        nas.search(proxies=["synflo"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
