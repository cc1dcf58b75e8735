"""What one search has trained the next one knows, as the command line says it."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas
from tests.end_to_end.conftest import Command, shown

SEARCH = (
    "search", "--space", "cell_cnn:channels=4", "--trials", "4", "--epochs", "1", "--runner", "local",
    "--strategy", "random", "--no-proxies", "-q",
)  # fmt: skip


def known(nas_command: Command, run: str) -> list[bool]:
    return [trial["cached"] for trial in shown(nas_command, run)["trials"]]


@pytest.mark.slow
def test_the_second_search_trains_nothing(nas_command: Command, tmp_path: Path) -> None:
    nas_command(*SEARCH, "--out", "one")
    said = nas_command(*SEARCH, "--out", "two").stdout
    assert "were known from earlier searches, which saved" in said
    one, two = (shown(nas_command, run) for run in ("one", "two"))
    best = {run["best"]["number"]: run["best"]["values"] for run in (one, two)}
    assert len(best) == 1
    assert sum(known(nas_command, "two")) >= 3, "all but those that led for a while and whose weights were not kept"
    assert one["best"]["test_accuracy"] == two["best"]["test_accuracy"]
    assert nas.load_run(tmp_path / "two").load() is not None
    nas_command(*SEARCH, "--out", "three", "--no-cache")
    assert known(nas_command, "three") == [False] * 4
    nas_command(*SEARCH, "--out", "four", "--cache", "of_my_own")
    assert known(nas_command, "four") == [False] * 4
    assert list((tmp_path / "of_my_own").glob("??/*.json"))
    assert not (tmp_path / "False").exists()
