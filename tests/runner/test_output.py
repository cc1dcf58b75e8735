"""Logs of trials: what reaches them, how large they grow, and what happens where they cannot be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nas.runner.output import MOST_BYTES, TrialOutput, last_lines, log_file
from nas.storage import open_place

JOB = {"number": 7}


def test_what_is_printed_goes_to_the_log_and_comes_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = TrialOutput({"run": str(tmp_path)}, JOB)
    with output.kept():
        print("first")
        print("second", file=sys.stderr)
        os.write(1, b"third\n")
    print("not this")
    with output.kept():
        print("fourth")
    output.close()
    print("nor this")
    assert sorted((last_lines(tmp_path, 7, 4)) or []) == ["first", "fourth", "second", "third"]
    assert capfd.readouterr().out == "not this\nnor this\n"


def test_a_trial_that_raises_leaves_the_streams_as_they_were(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = TrialOutput({"run": str(tmp_path)}, JOB)
    try:
        with output.kept():
            raise ValueError("wrong")
    except ValueError as error:
        output.failed(error)
    print("seen")
    output.close()
    assert capfd.readouterr().out == "seen\n"
    assert (last_lines(tmp_path, 7, 1)) == ["ValueError: wrong"]


def test_an_echo_is_in_both_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = TrialOutput({"run": str(tmp_path)}, JOB, echo=True)
    before = sys.stdout
    with output.kept():
        print("seen")
        assert sys.stdout.isatty() is before.isatty()
    output.close()
    assert sys.stdout is before
    assert capsys.readouterr().out == "seen\n"
    assert last_lines(tmp_path, 7, 1) == ["seen"]


def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    output = TrialOutput({"run": str(tmp_path)}, JOB)
    for epoch in range(3):
        with output.kept():
            for line in range(5000):
                print(f"epoch {epoch} line {line}")
        assert log_file(tmp_path, 7).stat().st_size <= MOST_BYTES + 100  # type: ignore[union-attr]
    output.close()
    lines = last_lines(tmp_path, 7, 10_000)
    assert lines is not None
    assert "trial 7 begins" in lines[0]
    assert lines[1] == "epoch 0 line 0"
    assert lines[-1] == "epoch 2 line 4999"
    assert sum("bytes are left out here" in line for line in lines) >= 1


@pytest.mark.parametrize("url", [False, True], ids=["folder", "url"])
def test_a_trial_that_goes_on_adds_to_its_log(url: bool, tmp_path: Path) -> None:
    place = f"memory://logs{os.getpid()}" if url else str(tmp_path)
    for resume in (False, True):
        output = TrialOutput({"run": "elsewhere", "storage": place}, {**JOB, "resume": resume})
        with output.kept():
            print("printed")
        if not resume:
            assert last_lines(open_place(place), 7, 1) == ["printed"], "also when the worker is killed after that"
        output.close()
    lines = last_lines(open_place(place), 7, 9) or []
    assert [line.partition(" on ")[0].partition(" trial ")[2] for line in lines] == ["7 begins", "", "7 goes", ""]
    assert lines[1] == lines[3] == "printed"


def test_no_log_is_no_trouble(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("in the way")
    for config in ({"run": str(tmp_path)}, {}):
        output = TrialOutput(config, JOB)
        with output.kept():
            print("seen")
        output.failed(ValueError())
        output.close()
    assert capfd.readouterr().out == "seen\nseen\n"
    assert last_lines(tmp_path, 7, 1) is None
