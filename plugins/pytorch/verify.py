"""Proof that an export stands for itself: another process, without this package, must compute what was trained."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import ExportError
from nas.model import Exportable

CHECK = Path(__file__).with_name("check.py")
TIMEOUT = 600
RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""How far outputs may differ where another process takes another path through the same arithmetic."""


def verify(winner: Exportable, folder: Path) -> float:
    """The largest difference between the outputs of the trained module and of the exported files, on the CPU.

    Raises ExportError when it is more than rounding, and when the files do not load by themselves.
    """
    inputs = tuple(value.detach().cpu() for value in winner.inputs)
    wanted = _outputs(winner, inputs)
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place, "asked.pt"), Path(place, "answered.pt")
        torch.save({"inputs": list(inputs), "threads": torch.get_num_threads()}, asked)
        _run(folder, asked, answered)
        got = torch.load(answered, weights_only=True)
    return _difference(wanted, got)


def _outputs(winner: Exportable, inputs: tuple[Tensor, ...]) -> Tensor:
    module = copy.deepcopy(winner.module).cpu().eval()
    with torch.no_grad():
        out: Tensor = module(*inputs)
    return out


def _run(folder: Path, asked: Path, answered: Path) -> None:
    torch_place = str(Path(torch.__file__).parent.parent)
    command = [sys.executable, "-I", str(CHECK), str(folder), str(asked), str(answered), torch_place]
    # Neither the interpreter's cache nor a variable of the parent may help or hinder the exported files.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            command, cwd=asked.parent, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"the exported model did not answer within {TIMEOUT} s in a process of its own") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ExportError(f"the exported model does not run by itself: {last}")


def _difference(wanted: Tensor, got: Tensor) -> float:
    if wanted.shape != got.shape:
        raise ExportError(f"the exported model gives {tuple(got.shape)}, the trained one {tuple(wanted.shape)}")
    difference = float((wanted.double() - got.double()).abs().nan_to_num().max()) if wanted.numel() else 0.0
    if not torch.allclose(wanted, got, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
        raise ExportError(f"outputs of the exported model differ from the trained one's by up to {difference:.3g}")
    return difference
