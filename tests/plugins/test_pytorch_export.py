from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nas.errors import ExportError
from nas.model import Exportable, Normalize, blueprint
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registrar
from nas.space.architecture import Architecture
from nas.space.graph import Block, chain
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas_plugins.pytorch import export as exporter
from nas_plugins.pytorch.export import export

TASK = TaskInfo("tiny", (Port("image", (2, 8, 8)),), outputs=3)
NAMES = ["architecture.json", "model.py", "weights.safetensors"]


class Sneaky(nn.Module):
    """A block that needs what the user of an export does not have, in a way no reading of its source can see."""

    def forward(self, x: Tensor) -> Tensor:
        __import__("nas.errors")
        return x


class Forgetful(nn.Module):
    """A block that learns something it does not keep in its state."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale *= 2
        return x * self.scale


def winner(block: str = "identity", cls: type[nn.Module] | None = None) -> Exportable:
    registry = create_manager().registry
    if cls is not None:
        registrar = Registrar("test")
        registrar.block(block, cls)
        registry.add(registrar.entries)
    b = registry.blocks
    odd: Block = b[block]()
    graph = chain(stem=b.conv(channels=4), odd=odd, down=b.reduction(), head=b.classifier(classes=3))
    architecture = Space(graph).reference
    made = blueprint(architecture, TASK, registry, normalize=Normalize((9.0, 9.0), (3.0, 3.0)))
    network = made.build()
    network(torch.randn(8, 2, 8, 8))  # moves the running statistics away from where they start
    return Exportable(architecture, made, network, (torch.randn(4, 2, 8, 8),), {"val_accuracy": 0.5})


@pytest.mark.slow
def test_export_runs_where_our_package_is_not(tmp_path: Path) -> None:
    given = winner()
    files = export(given, tmp_path / "out" / "best")
    assert sorted(file.name for file in files) == NAMES
    assert all(file.is_file() for file in files)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == NAMES
    x = torch.randn(2, 2, 8, 8)
    torch.save(x, tmp_path / "x.pt")
    script = (
        "import sys, torch; sys.modules['nas'] = None; sys.path.insert(0, 'out/best'); from model import load; "
        "torch.save(load()(torch.load('x.pt')).detach(), 'y.pt')"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, env=environment, check=True)
    torch.testing.assert_close(torch.load(tmp_path / "y.pt"), given.module.eval()(x))


@pytest.mark.slow
def test_architecture_file_gives_the_architecture_and_what_is_known_of_it(tmp_path: Path) -> None:
    given = winner()
    export(given, tmp_path / "best")
    text = (tmp_path / "best" / "architecture.json").read_text()
    assert Architecture.from_json(text) == given.architecture
    told = json.loads(text)
    assert told["digest"] == given.architecture.digest
    assert told["metadata"] == {"val_accuracy": 0.5}
    assert told["params"] == sum(p.numel() for p in given.module.parameters())
    assert told["verified"]["max_difference"] <= 1e-6


@pytest.mark.slow
def test_earlier_export_is_replaced(tmp_path: Path) -> None:
    export(winner(), tmp_path / "best")
    before = (tmp_path / "best" / "weights.safetensors").read_bytes()
    export(winner(), tmp_path / "best")
    assert (tmp_path / "best" / "weights.safetensors").read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["best"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Sneaky, "does not run by itself: .*imports 'nas', which its user does not have"),
        (Forgetful, "outputs of the exported model differ from the trained one's by up to"),
    ],
)
def test_export_that_does_not_compute_what_was_trained_leaves_nothing(
    cls: type[nn.Module], said: str, tmp_path: Path
) -> None:
    (tmp_path / "best").mkdir()
    with pytest.raises(ExportError, match=said):
        export(winner("odd", cls), tmp_path / "best")
    assert [p.name for p in tmp_path.rglob("*")] == ["best"]


def test_folder_that_holds_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ExportError, match=r"expected a new or empty folder to export to, but .* holds 'thesis.tex'"):
        export(winner(), tmp_path)
    with pytest.raises(ExportError, match=r"expected a folder to export to, got the file"):
        export(winner(), tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_nothing_is_in_the_folder_before_the_check_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(winner: Exportable, folder: Path) -> float:
        assert sorted(p.name for p in folder.iterdir()) == NAMES[1:]
        raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "verify", stopped)
    with pytest.raises(KeyboardInterrupt):
        export(winner(), tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_state_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    given = winner()

    class Extra(nn.Module):
        def get_extra_state(self) -> dict[str, int]:
            return {"steps": 3}

    with pytest.raises(ExportError, match="expected tensors in the network's state, got a dict as '_extra_state'"):
        export(replace(given, module=Extra()), tmp_path / "best")
