"""Searches as a user of Optuna writes them by hand: one categorical a decision, ask and tell.

Nobody tells these that two architectures are one network, so what they propose again is trained again. They are for
comparison alone, and no strategies: a strategy that uses Optuna's samplers well is `optuna`. Syne Tune's searchers are
in `syne_tune_peers`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nas.controller.history import History, Trial
from nas.controller.propose import Proposal
from nas.controller.simulate import Proposing
from nas.controller.table import Table
from nas.errors import UnknownNameError
from nas.space.architecture import Architecture
from nas.space.space import Space

from .syne_tune_peers import SEARCHERS, SyneTunePeer

if TYPE_CHECKING:
    import optuna

PEER = "peer:"
SAMPLERS = {"tpe": "TPESampler", "gp": "GPSampler", "nsga2": "NSGAIISampler", "random": "RandomSampler"}


def peer(name: str) -> Callable[[Table, int], Proposing]:
    """What makes the peer called ``peer:name`` for a table and a seed; raises UnknownNameError for another name."""
    if name in SEARCHERS:
        return lambda table, seed: SyneTunePeer(table, name, seed)
    if name not in SAMPLERS:
        raise UnknownNameError("peer", name, [*SAMPLERS, *SEARCHERS])
    return lambda table, seed: Peer(table, name, seed)


class Peer:
    """One study; it hears of a trial when the simulation knows what came of it."""

    def __init__(self, table: Table, name: str, seed: int) -> None:
        import optuna

        logging.getLogger("optuna").setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = getattr(optuna.samplers, SAMPLERS[name])(seed=seed)
        self._name = f"{PEER}{name}"
        self._study = optuna.create_study(directions=[o.direction for o in table.objectives], sampler=sampler)
        self._open: dict[int, optuna.Trial] = {}

    def propose(self, history: History) -> Proposal:
        """Tells what has become known, asks for one more."""
        for number in [n for n in self._open if history.trials[n].finished]:
            self._tell(self._open.pop(number), history.trials[number])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what samplers say of conditional spaces is for their users
            asked = self._study.ask()
            made = decide(history.space, asked)
        self._open[len(history.trials)] = asked
        return Proposal(made, self._name)

    def _tell(self, asked: optuna.Trial, trial: Trial) -> None:
        from optuna.trial import TrialState

        if trial.values:
            self._study.tell(asked, list(trial.values))
        else:
            self._study.tell(asked, state=TrialState.FAIL)


def decide(space: Space, asked: Any) -> Architecture:
    """The architecture whose decisions a trial suggests, one after the other, as far as they are open."""

    def choose(number: int) -> int:
        decision = space.decisions[number]
        picked: int = asked.suggest_categorical(decision.label, range(len(decision.names)))
        return picked

    return space.take(choose)
