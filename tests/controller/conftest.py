from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.controller.controller import Controller
from nas.controller.history import History, Objective
from nas.controller.ledger import Ledger
from nas.space.architecture import Architecture
from nas.space.graph import Signature, Traits, chain, choice, graph
from nas.space.space import Space

SCORE = Objective("score", "score", "maximize")
block = Signature("block", ("vector",), parameters={"size": 0, "kind": "a"})
identity = Signature("identity", ("vector",), traits=Traits("identity"))


class Sampler:
    """The smallest strategy."""

    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(rng)


@pytest.fixture
def space() -> Space:
    """75 assignments and 70 networks: the deep part opens a decision, and two of the first options are one."""
    deep = graph(["x"], {"a": (block(size=choice("deep/size", *range(12))), "x"), "b": (block(kind="b"), "a")}, "b")
    first = choice("first", deep=deep, flat=block(kind="c"), none=identity(), twice=chain(a=identity(), b=identity()))
    last = block(size=choice("last", 0, 1, 2, None, "all"))
    return Space(chain(first=first, last=last), name="tiny")


@pytest.fixture
def ledger(tmp_path: Path, space: Space) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "run", space, [SCORE]) as made:
        yield made


@pytest.fixture
def controller(ledger: Ledger) -> Callable[..., Controller]:
    def make(**options: Any) -> Controller:
        given = {"ledger": ledger, "strategy": ("sampler", Sampler()), "check": lambda _: {"params": 10.0}, **options}
        return Controller(**given)

    return make
