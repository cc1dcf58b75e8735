"""Plugins come in whole or not at all; what is wrong with one is said by name and does not take the others down."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from nas.errors import PluginError, UnknownNameError
from nas.plugin.hooks import hookimpl
from nas.plugin.manager import GROUP, create_manager, load_file
from nas.plugin.registry import Registrar

GOOD = """
from nas import chain, hookimpl

def mine(b, task, *, width=8):
    "A space of one network."
    return chain(conv=b.conv(channels=width), head=b.classifier(classes=task.classes))

@hookimpl
def nas_register(registry):
    registry.space("{name}", mine)
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def module(register: object) -> ModuleType:
    """A plugin with this hook."""
    made = ModuleType("made")
    made.nas_register = register  # type: ignore[attr-defined]
    return made


def plugin(**spaces: str) -> ModuleType:
    """A plugin that registers spaces with these targets."""

    @hookimpl
    def nas_register(registry: Registrar) -> None:
        for name, target in spaces.items():
            registry.space(name, target)

    return module(nas_register)


def test_every_installed_plugin_loads() -> None:
    manager = create_manager()
    assert manager.failures == {}
    assert {entry.owner for entry in manager.registry.all("space")} >= {"cell_cnn", "macro_cnn"}


def test_everything_built_in_comes_through_an_entry_point() -> None:
    owners = {point.name for point in entry_points(group=GROUP)}
    registry = create_manager().registry
    for kind in ("block", "space", "task", "strategy", "objective", "exporter"):
        entries = registry.all(kind)  # type: ignore[arg-type]
        assert entries
        assert {entry.owner for entry in entries} <= owners
    assert create_manager(installed=False).registry.all("space") == []


def test_managers_share_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, "one", GOOD.format(name="one"))
    assert create_manager([file]).registry.get("space", "one").owner == str(file)
    with pytest.raises(UnknownNameError):
        create_manager().registry.get("space", "one")


def test_a_plugin_file_registers_under_its_path(tmp_path: Path) -> None:
    file = write(tmp_path, "one", GOOD.format(name="one"))
    manager = create_manager([file])
    entry = manager.registry.get("space", "one")
    assert (entry.owner, entry.summary) == (str(file), "A space of one network.")
    assert manager.files == (str(file),)
    assert manager.hook.nas_register


def test_a_relative_file_means_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "one", GOOD.format(name="one"))
    monkeypatch.chdir(tmp_path)
    assert create_manager(["one.py"]).files == (str(file),)


def test_a_file_named_twice_is_one_plugin(tmp_path: Path) -> None:
    file = write(tmp_path, "one", GOOD.format(name="one"))
    manager = create_manager([file, file])
    assert manager.failures == {}
    assert manager.registry.get("space", "one")


def test_a_second_plugin_of_one_name_leaves_the_first() -> None:
    manager = create_manager(installed=False)
    manager.register(plugin(a="a:b"), "same")
    with pytest.raises(PluginError, match="plugin 'same' is there already"):
        manager.register(plugin(b="a:b"), "same")
    assert manager.pluggy.has_plugin("same")
    assert [entry.name for entry in manager.registry.all("space")] == ["a"]


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files = [write(tmp_path, "one", GOOD.format(name="one")), write(tmp_path / "a", "one", GOOD.format(name="two"))]
    registry = create_manager(files).registry
    assert [registry.get("space", name).owner for name in ("one", "two")] == [str(file) for file in files]


def test_a_name_taken_twice_names_both_owners(tmp_path: Path) -> None:
    file = write(tmp_path, "clash", GOOD.format(name="cell_cnn"))
    with pytest.raises(PluginError) as caught:
        create_manager([file])
    assert str(caught.value) == (
        f"space 'cell_cnn' of plugin {str(file)!r} is taken by plugin 'cell_cnn'; rename one of them"
    )


def test_a_name_taken_within_one_plugin_is_an_error() -> None:
    @hookimpl
    def nas_register(registry: Registrar) -> None:
        registry.space("same", "a:b")
        registry.strategy("same", "a:b")
        registry.space("same", "c:d")

    manager = create_manager(installed=False)
    with pytest.raises(PluginError, match="space 'same' of plugin 'p' is taken by plugin 'p'"):
        manager.register(module(nas_register), "p")
    assert manager.registry.all("strategy") == []


def test_a_plugin_registers_all_or_nothing() -> None:
    manager = create_manager(installed=False)
    manager.register(plugin(taken="a:b"), "first")
    with pytest.raises(PluginError, match="is taken by plugin 'first'"):
        manager.register(plugin(fresh="a:b", taken="c:d"), "second")
    assert [entry.name for entry in manager.registry.all("space")] == ["taken"]
    manager.register(plugin(fresh="a:b"), "second")


def test_one_name_for_two_kinds_is_fine() -> None:
    manager = create_manager(installed=False)

    @hookimpl
    def nas_register(registry: Registrar) -> None:
        registry.strategy("same", "a:b")

    manager.register(plugin(same="a:b"), "one")
    manager.register(module(nas_register), "other")


BROKEN = {
    "misspelt": (
        "from nas import hookimpl\n@hookimpl\ndef nas_registr(registry): pass\n",
        "unknown hook 'nas_registr'",
    ),
    "argument": (
        "from nas import hookimpl\n@hookimpl\ndef nas_register(registrar): pass\n",
        "registrar",
    ),
    "imports": ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    "syntax": ("def f(:\n", "SyntaxError"),
    "raises": (
        "from nas import hookimpl\n@hookimpl\ndef nas_register(registry): raise ValueError('no luck')\n",
        "failed to register: no luck",
    ),
    "target": (
        "from nas import hookimpl\n@hookimpl\ndef nas_register(registry): registry.block('b', 'torch.nn.Identity')\n",
        "expected a target 'module:attribute', got 'torch.nn.Identity'",
    ),
    "port": (
        "from nas import hookimpl\n"
        "@hookimpl\n"
        "def nas_register(registry): registry.block('b', 'a:b', inputs=('imag',))\n",
        "unknown port kind 'imag'",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_while_the_rest_works(tmp_path: Path, name: str) -> None:
    text, message = BROKEN[name]
    broken, good = write(tmp_path, name, text), write(tmp_path, "good", GOOD.format(name="good"))
    manager = create_manager([broken, good])
    assert list(manager.failures) == [str(broken)]
    assert message in manager.failures[str(broken)]
    assert manager.registry.get("space", "good")
    assert manager.registry.get("space", "cell_cnn")
    assert not manager.pluggy.has_plugin(str(broken))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"plugin file .*none\.py does not exist"):
        create_manager([tmp_path / "none.py"])
    with pytest.raises(PluginError, match="does not exist"):
        create_manager([tmp_path])


def test_a_file_that_is_no_python_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "plugin.txt"
    file.write_text("x = 1")
    assert "expected a Python file" in create_manager([file]).failures[str(file)]


def test_an_installed_plugin_that_breaks_is_named_while_the_rest_works(tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nas]\nbroken = no_module_of_this_name\n")
    code = (
        "from nas.plugin.manager import create_manager\n"
        "m = create_manager()\n"
        "print(m.failures)\n"
        "print(m.registry.get('space', 'cell_cnn').owner)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "{'broken': \"ModuleNotFoundError: No module named 'no_module_of_this_name'\"}",
        "cell_cnn",
    ]


def test_a_file_is_one_module_in_every_process(tmp_path: Path) -> None:
    file = write(tmp_path, "one", "class C: pass\n")
    code = (
        "from pathlib import Path\n"
        "from nas.plugin.manager import load_file\n"
        f"print(load_file(Path({str(file)!r})).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = load_file(file)
    assert done.stdout.strip() == loaded.__name__
    assert sys.modules[loaded.__name__] is loaded
