"""Every space that ships names a hand-made reference, so that a search can say whether it was worth it."""

from __future__ import annotations

import pytest

from nas.errors import SpaceError
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.testing.case import TASKS

REGISTRY = create_manager().registry


@pytest.mark.parametrize("name", [entry.name for entry in REGISTRY.all("space")])
def test_a_space_names_its_reference(name: str) -> None:
    found = []
    for task in TASKS:
        try:
            found.append(build_space(REGISTRY, name, task))
        except SpaceError:
            continue
    assert found
    assert all(space.has_reference for space in found)
