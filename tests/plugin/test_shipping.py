from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import PluginError
from nas.plugin.manager import create_manager
from nas.plugin.shipping import plugin_sources, shipped_manager

PLUGIN = """
from nas import chain, hookimpl
{more}
@hookimpl
def nas_register(registry):
    registry.space("sent", lambda b, task: chain(only=b.identity()))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "sent.py"
    made.write_text(PLUGIN.format(more=""))
    return made


def test_a_plugin_works_where_its_file_is_not(file: Path) -> None:
    sources = plugin_sources(create_manager([file]))
    file.unlink()
    with pytest.raises(PluginError, match="does not exist"):
        shipped_manager([str(file)], {})
    assert shipped_manager([str(file)], sources).registry.get("space", "sent")


def test_a_file_that_is_another_there_is_not_taken(file: Path) -> None:
    sources = plugin_sources(create_manager([file]))
    file.write_text("raise ValueError('an older one')")
    assert shipped_manager([str(file)], sources).registry.get("space", "sent")


def test_what_a_plugin_lacks_there_is_said_with_the_node(file: Path, tmp_path: Path) -> None:
    sources = {str(file): PLUGIN.format(more="import my_helper_module")}
    with pytest.raises(PluginError, match=r"sent.py does not work on node .*: ModuleNotFoundError: .*py_modules"):
        shipped_manager([str(file)], sources)


def test_plugins_that_work_nowhere_are_left_out_everywhere(file: Path) -> None:
    file.write_text("raise ValueError('broken')")
    manager = create_manager([file])
    assert plugin_sources(manager) == {}
    assert shipped_manager([str(file)], {}).failures
