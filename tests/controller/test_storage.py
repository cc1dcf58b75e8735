"""A storage, in a folder, in memory, and behind a server: whole files, and a record to go on with elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nas
from nas.errors import ConfigError, LedgerError
from nas.storage import check_writable, delete, is_url, open_place, write

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a storage that is no folder, and where its server keeps it."""
    folder = tmp_path_factory.mktemp("far")
    command = [sys.executable, str(TESTS / "ftp.py"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield f"ftp://nas:secret@127.0.0.1:{int(server.stdout.readline())}", folder
        server.kill()


@pytest.fixture(params=["folder", "file", "memory", "far"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "far":
        return f"{request.getfixturevalue('far')[0]}/files"
    return {"folder": str(tmp_path), "file": f"file://{tmp_path}", "memory": f"memory://{tmp_path.name}"}[request.param]


def test_what_is_written_is_there_until_it_is_deleted(where: str) -> None:
    check_writable(where)
    place = open_place(where)
    file = place / "checkpoints" / "3" / "last.pt"
    assert not file.is_file()
    with pytest.raises(FileNotFoundError):
        file.read_bytes()
    for content in (b"first", b"second" * 1000):
        write(file, content)
        assert file.read_bytes() == content
    delete(place / "checkpoints" / "3")
    delete(place / "checkpoints" / "4")
    assert not file.is_file()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("/proc/here", "expected a storage that can be written, got /proc/here: .*No such file"),
        ("blah://bucket/path", "s3://bucket/path, got blah://bucket/path: Protocol not known: blah"),
        ("ftp://me:secret@127.0.0.1:1/path", "got ftp://127.0.0.1:1/path: .*refused"),
    ],
)
def test_a_storage_that_cannot_be_written_is_one_sentence(where: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_writable(where)
    with pytest.raises(ConfigError, match=reason):
        nas.search("mlp", "diabetes", runner="local", trials=1, storage=where, out="never-made")
    assert not Path("never-made").exists()


def test_only_urls_of_elsewhere_are_urls() -> None:
    assert [is_url(where) for where in ("a/b", "/a", "file:///a", "s3://a/b")] == [False, False, False, True]


@pytest.mark.slow
def test_a_search_goes_on_on_another_machine(far: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = f"{far[0]}/mine", far[1] / "mine"
    options = {"runner": "local", "strategy": "random", "proxies": (), "reference": False, "cache": False}
    first = nas.search("mlp", "diabetes", trials=5, epochs=1, storage=url, out=tmp_path / "here", **options)
    assert (folder / "ledger.journal").read_bytes() == (tmp_path / "here" / "ledger.journal").read_bytes()
    assert len(list((folder / "checkpoints").iterdir())) == 3
    assert not (tmp_path / "here" / "checkpoints").exists()
    with pytest.raises(LedgerError, match="mine holds another search; resume it or give another storage"):
        nas.search("mlp", "diabetes", trials=1, storage=url, out=tmp_path / "third", **options)

    second = nas.resume(url, trials=2, out=tmp_path / "there")
    assert [trial.values for trial in second.trials[:5]] == [trial.values for trial in first.trials]
    assert [trial.state for trial in second.trials] == ["complete"] * 7
    with pytest.raises(LedgerError, match=r"has gone on elsewhere from ftp://127.0.0.1:.*; resume that, with another"):
        nas.resume(tmp_path / "here", trials=1)
    with pytest.raises(LedgerError, match="there holds a search; resume it there, or give another --out"):
        nas.resume(url, out=tmp_path / "there")
    with pytest.raises(LedgerError, match=r"ftp://127.0.0.1:\d+/nothing holds no search"):
        nas.resume(f"{far[0]}/nothing", out=tmp_path / "fourth")
