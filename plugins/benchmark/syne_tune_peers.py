"""Syne Tune's searchers as its users would have them: one categorical a decision, asked and told (extra `peers`).

Its spaces are flat, so a decision that is not open in an architecture is drawn, too, and has no effect.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nas.controller.history import History
from nas.controller.propose import Proposal
from nas.controller.table import Table
from nas.errors import ConfigError

PREFIX = "syne_"
SEARCHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "syne_evolution": ("regularized_evolution", {"population_size": 30, "sample_size": 10}),
    "syne_bore": ("bore", {}),
    "syne_kde": ("kde", {}),
}
"""Its own name and options of each; a population of 100, its default, would be random search for 100 trials."""


class SyneTunePeer:
    """One searcher; it hears of a trial when the simulation knows what came of it."""

    def __init__(self, table: Table, name: str, seed: int) -> None:
        if len(table.objectives) > 1:
            raise ConfigError(f"expected a table with one objective for peer {name!r}, got {len(table.objectives)}")
        searcher, options = SEARCHERS[name]
        self._name = f"peer:{name}"
        self._random = np.random.RandomState(seed).get_state()
        with self._quiet():
            try:
                from syne_tune.config_space import choice
                from syne_tune.optimizer.schedulers.searchers.searcher_factory import searcher_cls

                cls = searcher_cls(searcher)
            except ImportError as error:
                raise ConfigError(f"peer {name!r} needs Syne Tune ({error}); pip install 'graphnas[peers]'") from error
            space = {d.label: choice(list(range(len(d.names)))) for d in table.space.decisions}
            self._searcher = cls(space, random_seed=seed, **options)
        self._open: dict[int, dict[str, int]] = {}

    def propose(self, history: History) -> Proposal:
        """Tells what has become known, asks for one more."""
        with self._quiet():
            for number in [n for n in self._open if history.trials[n].finished]:
                config, trial = self._open.pop(number), history.trials[number]
                if trial.values:
                    worse = -history.objectives[0].sign * trial.values[0]
                    self._searcher.on_trial_complete(number, config, worse)
            config = self._searcher.suggest()
        self._open[len(history.trials)] = config
        decisions = history.space.decisions
        return Proposal(history.space.take(lambda number: int(config[decisions[number].label])), self._name)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Some searchers draw from numpy's global generator, whatever their seed; this peer has one of its own."""
        before, disabled = np.random.get_state(), logging.root.manager.disable
        np.random.set_state(self._random)
        logging.disable(logging.ERROR)  # of small spaces they say at length that there is little left
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            self._random = np.random.get_state()
            np.random.set_state(before)
            logging.disable(disabled)
