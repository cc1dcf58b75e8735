from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
SEARCHES = tuple(str(TESTS / folder) + os.sep for folder in ("cli", "end_to_end", "runner"))

# On CI every run tries the same examples, so that a red run is about the change.
settings.register_profile(
    "here", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes, those tests that start Ray or whole searches take turns in one of them.

    Two Rays at a time would fight for the cores, and tests of deadlines would fail for no reason.
    """
    for item in items:
        if str(item.path).startswith(SEARCHES):
            item.add_marker(pytest.mark.xdist_group("searches"))
