"""Zero-cost scores that a strategy wishes for: handed to workers, kept in the ledger, and kept cheap.

They may take a tenth of the training time that the budget implies. What that is shows when the first trial is complete;
what a score takes shows when one has been computed, so that first a single architecture may be scored.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence

from nas.controller.history import Score
from nas.controller.job import ScoreJob
from nas.controller.ledger import Ledger
from nas.controller.tally import Tally
from nas.space.architecture import Architecture

SHARE = 0.1
"""Of the training time that the budget implies, for all scores of a search together."""
BATCH = 8
"""Architectures that a worker scores before it says so: few, so that all workers get some."""


class Scoring:
    """The scores of one search; `proxies` are the names of those that it may compute.

    tally: of the ledger's trials, kept up by its owner.
    budget: trials of the whole search, None for no limit.
    """

    def __init__(self, ledger: Ledger, tally: Tally, proxies: Sequence[str], budget: int | None) -> None:
        self._ledger, self._tally = ledger, tally
        self.proxies = tuple(proxies)
        self._budget = budget
        self._begun = time.monotonic()
        self._wished: deque[Architecture] = deque()
        self._out: dict[int, ScoreJob] = {}
        self._next = -1

    @property
    def waiting(self) -> bool:
        """Whether workers still compute scores that somebody waits for."""
        return bool(self._out)

    def scorable(self, seconds_left: float) -> int:
        """How many more architectures may be scored now, `seconds_left` before the end of the search."""
        implied = self._implied(seconds_left) if self.proxies else 0.0
        scored = len(self._ledger.scores)
        if not implied or not scored:
            return int(implied > 0)
        each = self._ledger.score_seconds / scored
        return max(0, int((SHARE * implied - self._ledger.score_seconds) / each)) if each else 0

    def wish(self, wish: Score) -> None:
        """Workers shall say these scores, each once."""
        known = {*self._ledger.scores, *(made.digest for made in self._wished)}
        self._wished.extend(made for made in wish.architectures if made.digest not in known)

    def next(self) -> ScoreJob | None:
        """What a worker is to score now."""
        if not self._wished:
            return None
        some = tuple(self._wished.popleft() for _ in range(min(BATCH, len(self._wished))))
        job = self._out[self._next] = ScoreJob(self._next, some, self.proxies)
        self._next -= 1
        return job

    def scored(self, number: int, found: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
        """What a worker says of the architectures of a job: ``scores`` and ``seconds`` of each, by proxy.

        What it says nothing of, because it died, counts as scored, so that nobody waits for it for ever.
        """
        for i, made in enumerate(self._out.pop(number).architectures):
            said = found[i] if i < len(found) else {}
            scores = {name: float(value) for name, value in said.get("scores", {}).items() if math.isfinite(value)}
            self._ledger.record_scores(made.digest, scores, sum(said.get("seconds", {}).values()))

    def _implied(self, seconds_left: float) -> float:
        """Seconds of training in the whole search, as far as its trials so far tell."""
        trained, seconds = self._tally.trained, self._tally.trained_seconds
        if not trained:
            return 0.0
        bounds = []
        if self._budget is not None:
            bounds.append(self._budget * seconds / trained)
        if math.isfinite(seconds_left):
            elapsed = time.monotonic() - self._begun
            bounds.append(seconds * (1 + seconds_left / max(elapsed, 1e-9)))
        return min(bounds, default=0.0)
