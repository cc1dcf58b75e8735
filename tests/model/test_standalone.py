from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas.errors import ExportError
from nas.model import blueprint, standalone_source
from nas.model.weights import read_weights
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.graph import Graph, chain
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

Realise = Callable[[Graph], Architecture]
TASK = TaskInfo("tiny", (Port("image", (2, 8, 8)),), outputs=3)

PLUGIN = '''\
from __future__ import annotations

import math
import torch.nn.functional as F
from torch import nn

from nas.plugin.hooks import hookimpl

SCALES = {"half": 0.5}
"""How much is kept."""
SCALES["root"] = math.sqrt(2)
UNUSED = "not exported"


def conv2d(x, scale):  # the same name as a function of the built-in blocks
    return F.relu(x) * SCALES[scale]


# A comment that belongs to the class.
class Conv(nn.Module):
    """Scales, and has the name of a built-in class."""

    def __init__(self, *, scale: str = "half", conv2d: int = 0) -> None:
        super().__init__()
        self.scale, self.shift = scale, conv2d

    def forward(self, x):
        return conv2d(x, self.scale) + self.shift


@hookimpl
def nas_register(registry):
    registry.block("scale", Conv, parameters={"scale": "half"})
'''


def from_file(folder: Path, text: str) -> Registry:
    file = folder / "mine.py"
    file.write_text(text)
    manager = create_manager([file])
    assert not manager.failures
    return manager.registry


def run(source: str, folder: Path) -> ModuleType:
    module = ModuleType("exported")
    module.__file__ = str(folder / "model.py")
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    return module


def scaled(registry: Registry, **parameters: str) -> Architecture:
    b = registry.blocks
    stem = b.conv(channels=4)
    return Space(chain(stem=stem, mine=b.scale(**parameters), head=b.classifier(classes=3))).reference


def test_file_computes_what_the_network_computes(cells: Space, registry: Registry, tmp_path: Path) -> None:
    made = blueprint(cells.sample(random.Random(1)), TASK, registry)
    network = made.build().eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    loaded = run(standalone_source(made), tmp_path).load()
    x = torch.randn(4, 2, 8, 8)
    assert not loaded.training
    assert torch.equal(loaded(x), network(x))


def test_file_holds_the_network_s_source_and_the_blocks_it_uses_only(cells: Space, registry: Registry) -> None:
    made = blueprint(cells.sample(random.Random(1)), TASK, registry)
    source = standalone_source(made)
    assert made.source in source
    assert "class Reduction(nn.Module)" in source
    assert "class MBConv" not in source
    imported = {
        line.split()[1].partition(".")[0] for line in source.splitlines() if line.startswith(("import", "from"))
    }
    assert imported <= {"__future__", "torch", *sys.stdlib_module_names}


def test_block_of_a_user_s_file_comes_with_what_it_uses(tmp_path: Path) -> None:
    registry = from_file(tmp_path, PLUGIN)
    made = blueprint(scaled(registry, scale="root"), TASK, registry)
    source = standalone_source(made)
    assert 'SCALES = {"half": 0.5}\n"""How much is kept."""' in source
    assert 'SCALES["root"] = math.sqrt(2)' in source
    assert "# A comment that belongs to the class.\nclass Conv_2(nn.Module)" in source
    assert "from torch.nn import functional as F" in source
    assert "UNUSED" not in source
    assert "hookimpl" not in source
    network = made.build().eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    x = torch.randn(4, 2, 8, 8)
    assert torch.equal(run(source, tmp_path).load()(x), network(x))


def test_names_that_clash_are_told_apart_but_not_a_parameter_of_that_name(tmp_path: Path) -> None:
    registry = from_file(tmp_path, PLUGIN)
    source = standalone_source(blueprint(scaled(registry), TASK, registry))
    assert "def conv2d_2(x, scale):" in source
    assert "return conv2d_2(x, self.scale) + self.shift" in source
    assert "self.scale, self.shift = scale, conv2d\n" in source


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("import math\n", "import math\nimport numpy as np\n", None),
        ("math.sqrt(2)", "np.sqrt(2)", r"Conv of nas_plugin_mine_\w+ uses 'np' of numpy"),
        ("return F.relu", "import numpy as np; return F.relu", r"uses 'np' of numpy, and an exported model may import"),
    ],
)
def test_import_of_anything_else_is_refused_where_a_block_uses_it(
    old: str, new: str, said: str | None, tmp_path: Path
) -> None:
    registry = from_file(
        tmp_path, PLUGIN.replace("import math\n", "import math\nimport numpy as np\n").replace(old, new)
    )
    made = blueprint(scaled(registry), TASK, registry)
    if said is None:
        assert "numpy" not in standalone_source(made)
        return
    with pytest.raises(ExportError, match=said):
        standalone_source(made)


def test_class_that_is_not_at_the_top_of_its_file_is_refused(
    registry: Registry, register: Callable[..., object]
) -> None:
    class Scale(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    register("scale", Scale)
    with pytest.raises(ExportError, match="Scale of test_standalone is not defined at the top of its file"):
        standalone_source(blueprint(scaled(registry), TASK, registry))


def test_class_of_torch_is_imported(registry: Registry, register: Callable[..., object]) -> None:
    register("scale", "torch.nn:ReLU6")
    assert "from torch.nn import ReLU6" in standalone_source(blueprint(scaled(registry), TASK, registry))


def test_weights_are_read_as_safetensors_writes_them(tmp_path: Path) -> None:
    written = {
        "a": torch.randn(3, 4),
        "b": torch.tensor(7),
        "c": torch.tensor([True, False, True]),
        "d": torch.randn(5).bfloat16(),
        "e": torch.empty(0, 2),
        "f": torch.arange(3, dtype=torch.uint8),
    }
    save_file(written, tmp_path / "w.safetensors", metadata={"format": "pt"})
    read = read_weights(tmp_path / "w.safetensors")
    assert read.keys() == written.keys()
    for name, tensor in written.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
