"""The next architecture that was never seen: the strategy's, or else one of what is left of the space."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from nas.controller.history import History, Score, Strategy
from nas.controller.job import Done, Wait
from nas.errors import PluginError
from nas.space.architecture import Architecture
from nas.space.space import Space

STRATEGY_TRIES = 50
SAMPLE_TRIES = 200
ENUMERABLE = 200_000
"""Spaces up to this size are searched to the last architecture, larger ones until samples find nothing new."""
SLICE = 500
"""Architectures enumerated at a time, some tens of milliseconds."""

EXHAUSTED = Done("every architecture of the space has been tried", "space")


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture that is in no trial, and who proposed it."""

    architecture: Architecture
    source: str


class Proposer:
    """Never proposes one network twice: it knows the digest of every trial, whatever became of it."""

    def __init__(
        self,
        space: Space,
        strategy: tuple[str, Strategy],
        seed: int,
        known: Iterable[str] = (),
        reference: Architecture | None = None,
    ) -> None:
        self._space = space
        self._name, self._strategy = strategy
        self._seed = seed
        self._known = set(known)
        self._reference = reference
        self._rest: Iterator[Architecture] = iter(())
        self._repeated_at = -1

    def propose(self, history: History) -> Proposal | Score | Wait | Done:
        """For the trial after those in `history`; the reference first, if it is in no trial.

        A Score is the strategy's wish to know more first: ask again when `history` has the scores. Raises PluginError
        with the strategy's name when it fails.
        """
        number = len(history.trials)
        if self._reference is not None and self._take(self._reference):
            return Proposal(self._reference, "reference")
        if number == self._repeated_at:
            return self._left()
        rng = random.Random(f"{self._seed}:{number}")
        for _ in range(STRATEGY_TRIES):
            candidate = self._ask(history, rng)
            if isinstance(candidate, Score):
                return candidate
            if self._take(candidate):
                return Proposal(candidate, self._name)
        for _ in range(SAMPLE_TRIES):
            if self._take(drawn := self._space.sample(rng)):
                return Proposal(drawn, "sample")
        if self._repeated_at < 0:
            self._rest = self._space.enumerate()
        self._repeated_at = number
        return self._left()

    def _ask(self, history: History, rng: random.Random) -> Architecture | Score:
        try:
            proposed = self._strategy.propose(history, rng)
        except Exception as error:
            trial = f"trial {len(history.trials)}"
            raise PluginError(f"strategy {self._name!r} failed to propose {trial}: {error!r}") from error
        if isinstance(proposed, Score):
            self._check_wish(proposed, history)
        elif not isinstance(proposed, Architecture):
            raise PluginError(f"strategy {self._name!r}: expected an Architecture, got {type(proposed).__name__}")
        return proposed

    def _check_wish(self, wish: Score, history: History) -> None:
        """A wish that is never fulfilled would be repeated for ever."""
        unknown = [a for a in wish.architectures if a.digest not in history.scores]
        if not history.proxies or not unknown or history.scorable == 0:
            known = "every one asked about has its scores" if not unknown else "there are none to be had now"
            raise PluginError(f"strategy {self._name!r} asks for zero-cost scores, but {known}")

    def _take(self, candidate: Architecture) -> bool:
        if candidate.digest in self._known:
            return False
        self._known.add(candidate.digest)
        return True

    def _left(self) -> Proposal | Wait | Done:
        """The next of an enumeration that goes on from call to call, for everyone waits while it runs."""
        if self._space.size > ENUMERABLE:
            return Done(f"{SAMPLE_TRIES} samples of the space held nothing that was not tried", "space")
        seen = 0
        for candidate in islice(self._rest, SLICE):
            seen += 1
            if self._take(candidate):
                return Proposal(candidate, "enumeration")
        return EXHAUSTED if seen < SLICE else Wait()
