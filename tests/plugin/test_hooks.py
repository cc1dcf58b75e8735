"""Few hooks, each documented and each used by a plugin that ships."""

from __future__ import annotations

import inspect

import pytest

from nas.plugin import hooks
from nas.plugin.manager import create_manager

NAMES = [name for name, thing in vars(hooks).items() if hasattr(thing, f"{hooks.PROJECT}_spec")]


def test_all_hooks_are_seen() -> None:
    assert len(NAMES) >= 5
    assert all(name.startswith("nas_") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_hook_says_when_it_is_called(name: str) -> None:
    assert inspect.getdoc(getattr(hooks, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_that_ships_uses_it(name: str) -> None:
    manager = create_manager()
    loggers = [entry.load() for entry in manager.registry.all("logger")]  # plugins of searches that ask for them
    used = getattr(manager.hook, name).get_hookimpls() or [logger for logger in loggers if hasattr(logger, name)]
    assert used, f"no installed plugin implements {name}"
