"""Writing a trained network as three files that need nothing of ours, whole and checked or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors.torch import save
from torch import Tensor

from nas.errors import ExportError
from nas.model import Exportable, standalone_source

from .verify import verify

FILES = ("model.py", "weights.safetensors", "architecture.json")


def export(winner: Exportable, folder: Path) -> list[Path]:
    """Writes the three files into `folder` and gives their paths; an earlier export there is replaced.

    Before anything is in `folder`, another process that cannot import this package loads the files and computes the
    outputs for `winner.inputs`, which must equal the trained module's.

    Raises ExportError for a folder that holds anything else, a block that needs more than PyTorch and the standard
    library, and outputs that differ.
    """
    folder = folder.absolute()
    _check_folder(folder)
    source = standalone_source(winner.blueprint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    fresh.mkdir()
    try:
        (fresh / "model.py").write_text(source, encoding="utf-8")
        _write_weights(winner, fresh / "weights.safetensors")
        difference = verify(winner, fresh)
        (fresh / "architecture.json").write_text(_json(_description(winner, difference)), encoding="utf-8")
        _replace(folder, fresh)
    except OSError as error:
        raise ExportError(f"the export cannot be written to {folder}: {error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [folder / name for name in FILES]


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"expected a folder to export to, got the file {folder}")
    others = sorted(p.name for p in folder.iterdir() if p.name not in FILES) if folder.is_dir() else []
    if others and others != ["__pycache__"]:
        raise ExportError(f"expected a new or empty folder to export to, but {folder} holds {others[0]!r}")


def _write_weights(winner: Exportable, path: Path) -> None:
    state = winner.module.state_dict()
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise ExportError(f"expected tensors in the network's state, got a {type(tensor).__name__} as {name!r}")
    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    path.write_bytes(save({name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}))


def _description(winner: Exportable, difference: float) -> dict[str, Any]:
    """What architecture.json holds: the architecture itself, and beside it what is known of the network."""
    task, costs = winner.blueprint.task, winner.blueprint.costs
    return {
        **winner.architecture.to_dict(),
        "digest": winner.architecture.digest,
        "task": {
            "name": task.name,
            "inputs": [{"kind": port.kind, "shape": port.shape} for port in task.inputs],
            "outputs": task.outputs,
            "target": task.target,
            **({"vocabulary": task.vocabulary} if task.vocabulary else {}),
        },
        "params": costs.params,
        "flops": costs.flops,
        "verified": {"max_difference": difference},
        "metadata": dict(winner.metadata),
    }


def _json(description: dict[str, Any]) -> str:
    lines = (f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in description.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _replace(folder: Path, fresh: Path) -> None:
    """Puts `fresh` in the place of `folder` by renaming, so that what stands there is always whole."""
    old = folder.with_name(f"{fresh.name}-old")
    if folder.exists():
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
