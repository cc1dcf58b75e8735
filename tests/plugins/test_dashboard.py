"""`nas dashboard` over real HTTP, while a search writes its ledger."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner
from optuna.storages import JournalStorage

from nas.cli.main import main
from nas.controller.history import Objective
from nas.controller.journal import JournalReader
from nas.controller.ledger import FILE, Ledger
from nas.errors import LedgerError
from nas.space.graph import Signature, chain, choice
from nas.space.space import Space

pytest.importorskip("optuna_dashboard", reason="needs the extra 'dashboard'")

SCORE = Objective("score", "score", "maximize")
block = Signature("block", ("vector",), parameters={"size": 0})
SPACE = Space(chain(only=block(size=choice("size", *range(50)))), name="sizes")


def add(ledger: Ledger, score: float) -> None:
    trial = ledger.start(SPACE.sample(random.Random(score)))
    ledger.report(trial.number, {"epoch": 1, "score": score})
    ledger.finish(trial.number, "complete", [score])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "run", SPACE, [SCORE]) as made:
        add(made, 0.25)
        yield made


@pytest.fixture
def address(ledger: Ledger) -> Iterator[str]:
    command = [sys.executable, "-m", "nas.cli.main", "dashboard", str(ledger.folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as served:
        assert served.stdout is not None
        said = served.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+)/ shows ", said)
        try:
            assert found, said
            yield found[1]
        finally:
            served.send_signal(signal.SIGINT)
            assert served.wait(20) == 0


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_it_follows_a_search_and_changes_nothing(ledger: Ledger, address: str) -> None:
    [study] = get(f"{address}/api/studies")["study_summaries"]
    assert study["study_name"] == "run"
    where = f"{address}/api/studies/{study['study_id']}"
    with urllib.request.urlopen(f"{address}/dashboard", timeout=30) as page:
        assert b"<html" in page.read()

    add(ledger, 0.5)  # after the journal was read for the first time; trials are kept for ten seconds by the dashboard
    assert [trial["values"] for trial in get(where)["trials"]] == [[0.25], [0.5]], "it goes with the search"

    before = (ledger.folder / FILE).read_bytes()
    for method, path, body in (
        ("DELETE", where, None),
        ("PUT", f"{where}/note", b'{"body": "mine", "version": 1}'),
        ("POST", f"{address}/api/studies", b'{"study_name": "other", "directions": ["minimize"]}'),
        ("POST", f"{address}/api/trials/0/user-attrs", b'{"user_attrs": {"a": 1}}'),
    ):
        asked = urllib.request.Request(path, body, {"Content-Type": "application/json"}, method=method)
        with pytest.raises(urllib.error.HTTPError, match="405") as refused:
            urllib.request.urlopen(asked, timeout=30)
        assert "only reads" in json.load(refused.value)["reason"]
        refused.value.close()
    assert (ledger.folder / FILE).read_bytes() == before
    add(ledger, 0.75)
    assert len(Ledger.read(ledger.folder, SPACE).trials) == 3


def test_a_ledger_that_was_written_anew_is_read_anew(ledger: Ledger, tmp_path: Path) -> None:
    from nas_plugins.dashboard.server import make_server

    with make_server(ledger.folder / FILE, "127.0.0.1", 0) as server:
        served = Thread(target=server.serve_forever)
        served.start()
        try:
            where = f"http://127.0.0.1:{server.server_port}/api/studies"
            assert [study["directions"] for study in get(where)["study_summaries"]] == [["maximize"]]
            with Ledger.create(tmp_path / "other", SPACE, [SCORE, Objective("size", "size", "minimize")]):
                (tmp_path / "other" / FILE).replace(ledger.folder / FILE)
            assert [study["directions"] for study in get(where)["study_summaries"]] == [["maximize", "minimize"]]
        finally:
            server.shutdown()
            served.join()


def test_the_storage_behind_it_cannot_write(ledger: Ledger, tmp_path: Path) -> None:
    before = (ledger.folder / FILE).read_bytes()
    storage = JournalStorage(JournalReader(ledger.folder / FILE))
    with pytest.raises(LedgerError, match="only read here"):
        storage.set_study_user_attr(0, "a", 1)
    assert (ledger.folder / FILE).read_bytes() == before
    with pytest.raises(FileNotFoundError):
        JournalReader(tmp_path / "nothing")


@pytest.mark.parametrize("case", ["a port that is taken", "no search"])
def test_what_cannot_be_served_is_one_sentence(ledger: Ledger, tmp_path: Path, case: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = ledger.folder if case != "no search" else tmp_path
        done = CliRunner().invoke(main, ["dashboard", str(run), "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2
    said = {"a port that is taken": "give another --port", "no search": "holds no search"}[case]
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
