"""Run by path in a process of its own: loads an exported model where our package cannot be imported."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

OURS = ("nas", "nas_plugins", "nas_search_spaces")


class Refuse:
    """Makes our packages impossible to import, wherever they are installed."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Raises ImportError for a name of ours; any other is left to the finders after this one."""
        if name.partition(".")[0] in OURS:
            raise ImportError(f"the exported model imports {name!r}, which its user does not have")
        return None


def main(folder: str, asked: str, answered: str, torch_place: str) -> None:
    """Computes the outputs for the inputs in `asked` and writes them to `answered`."""
    sys.meta_path.insert(0, Refuse)
    if importlib.util.find_spec("torch") is None:
        sys.path.append(torch_place)
    import torch

    given = torch.load(asked, weights_only=True)
    torch.set_num_threads(given["threads"])
    spec = importlib.util.spec_from_file_location("model", Path(folder, "model.py"))
    assert spec is not None
    assert spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    sys.modules["model"] = model
    sys.dont_write_bytecode = True
    spec.loader.exec_module(model)
    network = model.load()
    with torch.no_grad():
        torch.save(network(*given["inputs"]), answered)
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] in OURS)
    if loaded:
        raise ImportError(f"the exported model has loaded {loaded[0]!r}, which its user does not have")


if __name__ == "__main__":
    main(*sys.argv[1:])
