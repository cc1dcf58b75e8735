from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from nas.controller.checkpoints import checkpoint_file
from nas.errors import LedgerError
from nas.train import checkpoint
from nas.train.keeper import WRITER, Keeper


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    file = checkpoint_file(tmp_path, 7)
    checkpoint.save({"weights": {"a": torch.arange(3)}, "epoch": 2}, file)
    assert file == tmp_path / "checkpoints" / "7" / "last.pt"
    assert os.listdir(file.parent) == ["last.pt"]
    assert torch.equal(checkpoint.load(file)["weights"]["a"], torch.arange(3))


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "last.pt"
    checkpoint.save({"epoch": 1}, file)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoint.save({"epoch": 2, "tensor": torch.zeros(1000), "bad": lambda: None}, file)
    assert checkpoint.load(file) == {"epoch": 1}


def test_a_place_that_cannot_be_read_is_no_fault_of_the_trial(tmp_path: Path) -> None:
    file = checkpoint_file(tmp_path, 7)
    keeper = Keeper(file)
    keeper.save({"epoch": 1})
    (file.parent / WRITER).unlink()
    (file.parent / WRITER).mkdir()
    with pytest.raises(LedgerError, match=r"cannot write .*last.pt: Is a directory; .* resume the search"):
        keeper.save({"epoch": 2})
    assert checkpoint.load(file) == {"epoch": 1}


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_a_foreign_file_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Harmful()}, "last.pt")
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load(Path("last.pt"))
    assert not Path("harm").exists()
