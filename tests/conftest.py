from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
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


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where every test has a cache of its own, so that none knows what another has trained; never the user's."""
    folder = tmp_path_factory.mktemp("caches")
    return (str(folder / str(number)) for number in count())


@pytest.fixture(autouse=True)
def cache_of_its_own(caches: Iterator[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", next(caches))
