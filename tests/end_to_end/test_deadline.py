"""A search that its time ends."""

from pathlib import Path

import pytest

import nas


@pytest.mark.slow
def test_time_ends_a_search_that_says_what_was_cut(tmp_path: Path) -> None:
    run = nas.search(
        "cell_cnn:channels=4",
        "digits",
        strategy="random",
        time="20s",
        epochs=500,
        concurrency=1,
        cache=False,
        out=tmp_path / "run",
    )
    (flying,) = (trial for trial in run.trials if not trial.finished)
    assert run.reason.startswith("the time is up")
    assert f"trial {flying.number} after epoch {len(flying.curve)};" in run.reason
    assert nas.load_run(run.folder).trials[flying.number].curve == flying.curve


def test_a_refused_concurrency_leaves_nothing_behind(tmp_path: Path) -> None:
    import ray

    with pytest.raises(nas.errors.ConfigError, match="expected resources for 1000 trials"):
        nas.search("cell_cnn", "digits", trials=1, concurrency=1000, out=tmp_path / "run")
    assert not ray.is_initialized()
    assert not (tmp_path / "run").exists(), "the same folder may be given again"
