"""Asking for help must not take seconds: what is heavy is imported when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "optuna", "sklearn", "pandas", "torchmetrics", "safetensors")

HELP = "import sys; sys.argv = ['nas', '--help']\nfrom nas.cli.main import main\ntry: main()\nexcept SystemExit: pass"
CODE = {
    "import nas": "import nas",
    "nas --help": HELP,
    "nas search --help": HELP.replace("'--help'", "'search', '--help'"),
    "nas spaces": HELP.replace("'--help'", "'spaces'"),
    "nas plugins": HELP.replace("'--help'", "'plugins'"),
    "plugins are found": "from nas.plugin.manager import create_manager; assert not create_manager().failures",
    "a space is built": (
        "from nas.plugin.build import build_space\n"
        "from nas.plugin.manager import create_manager\n"
        "from nas.testing import IMAGE\n"
        "build_space(create_manager().registry, 'cell_cnn', IMAGE).reference.digest"
    ),
    "the recipe": "import nas.train.recipe, nas.train.task",
    "the kit": "import nas.testing",
}


@pytest.mark.parametrize("what", CODE)
def test_nothing_heavy_is_loaded_for(what: str) -> None:
    code = f"{CODE[what]}\nimport sys\nprint('loaded:', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
