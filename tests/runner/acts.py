"""A space that says what fake workers do, and strategies for it."""

from __future__ import annotations

import random

from nas.controller.history import History, Objective, Score
from nas.space.architecture import Architecture
from nas.space.graph import Signature, chain, choice
from nas.space.space import Space

SCORE = Objective("score", "score", "maximize")


class Sampler:
    """The smallest strategy."""

    def propose(self, history: History, rng: random.Random) -> Architecture:
        return history.space.sample(rng)


class InOrder:
    """One architecture after the other, in the order of the space."""

    def propose(self, history: History, rng: random.Random) -> Architecture:
        known = {trial.digest for trial in history.trials}
        return next((a for a in history.space.enumerate() if a.digest not in known), history.space.reference)


class Wisher:
    """Asks for the scores of all that may be scored, and takes the one that scores best."""

    def propose(self, history: History, rng: random.Random) -> Architecture | Score:
        known = {trial.digest for trial in history.trials}
        new = [a for a in history.space.enumerate() if a.digest not in known]
        unknown = [a for a in new if a.digest not in history.scores][: history.scorable]
        if history.proxies and unknown:
            return Score(tuple(unknown))
        return max(new, key=lambda a: history.scores.get(a.digest, {}).get("size", -1), default=history.space.reference)


def space_of(*acts: str, sizes: int = 1) -> Space:
    """What a fake worker shall do, and a number that is its score."""
    block = Signature("block", ("vector",), parameters={"act": "", "size": 0})
    return Space(chain(only=block(act=choice("act", *acts), size=choice("size", *range(sizes)))), name="acts")
