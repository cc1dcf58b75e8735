from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acts import SCORE, InOrder, Sampler, space_of

from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.runner.cluster import Cluster
from nas.runner.spec import Resources, WorkerSpec

HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def importable() -> None:
    """Ray's workers find `fake_workers` as pytest does."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def cluster(importable: None) -> Iterator[Cluster]:
    """Ray, once for all tests that only need it to be there; it is not theirs to stop."""
    with Cluster(Resources(2)) as made:
        made.owned = False
        yield made
        made.owned = True


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Callable[..., tuple[Controller, WorkerSpec]]]:
    """A controller and a worker of `acts` in order, or of samples when there are `sizes`."""
    ledgers: list[Ledger] = []

    def make(
        *acts: str, sizes: int = 1, config: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Controller, WorkerSpec]:
        run = tmp_path / f"run{len(ledgers)}"
        ledgers.append(Ledger.create(run, space_of(*acts, sizes=sizes), [SCORE]))
        strategy = ("sampler", Sampler()) if sizes > 1 else ("in order", InOrder())
        given = {"strategy": strategy, "check": lambda _: {"params": 1.0}, **options}
        controller = Controller(ledger=ledgers[-1], **given)
        return controller, WorkerSpec("fake_workers:Worker", {"run": str(run), **(config or {})})

    yield make
    for ledger in ledgers:
        ledger.close()
