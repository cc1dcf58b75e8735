"""One proposal of a sampler of Optuna (Akiba et al., KDD 2019), from a study made of the history for that purpose.

An option of a decision is its number there. A decision between rising numbers is an integer, so that samplers know its
order; all others are categories. A decision exists in a trial only where it was open.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseGASampler, BaseSampler, CmaEsSampler, GPSampler, QMCSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.controller.history import History, Objective, Strategy, Trial
from nas.controller.limits import fits
from nas.controller.study import quiet
from nas.errors import ConfigError, UnknownNameError
from nas.space.architecture import Architecture
from nas.space.space import Space

ASKED = 10
"""Questions to one study before a network that was tried before is given back; each is told of those before it."""
WARM = 10
"""Trials from which CMA-ES can start: it takes the best tenth."""
AHEAD = 8
"""How many points of a quasi-random sequence compete to be next."""

FIXED = (CmaEsSampler, GPSampler, QMCSampler)
"""They draw decisions at random that are not always open."""
NUMERIC = (CmaEsSampler,)
"""They draw categories at random, and know one objective only."""

Distributions = list[BaseDistribution]


@dataclass(frozen=True)
class OptunaSampler:
    """A class of samplers and its options. A sampler is made for each proposal, for what it remembers is in no ledger.

    Two need more than trials: genetic ones are told which generation a trial belongs to, by its place in the history,
    and CMA-ES starts from the best of the trials, as if they were of a related search (Nomura et al., AAAI 2021).
    """

    sampler: type[BaseSampler]
    options: dict[str, Any] = field(default_factory=dict)

    def check(self, space: Space, objectives: Sequence[Objective]) -> None:
        """Refuses what the sampler would leave to chance."""
        name = self.sampler.__name__
        if issubclass(self.sampler, NUMERIC) and len(objectives) > 1:
            raise ConfigError(f"sampler {name} of Optuna takes one objective, got {len(objectives)}; try optuna:tpe")
        for decision, numeric in zip(space.decisions, map(_ordered, _names(space)), strict=True):
            if issubclass(self.sampler, NUMERIC) and not numeric:
                raise ConfigError(
                    f"sampler {name} of Optuna takes numbers only, but decision {decision.label!r} of space "
                    f"{space.name!r} is between {', '.join(map(str, decision.names))}; try optuna:tpe"
                )
        closed = [d.label for number, d in enumerate(space.decisions) if number not in space.always_open]
        if issubclass(self.sampler, FIXED) and closed:
            raise ConfigError(
                f"sampler {name} of Optuna takes decisions that are always open, but {closed[0]!r} of space "
                f"{space.name!r} depends on others; try optuna:tpe"
            )
        self._made(random.Random(0), [])

    def propose(self, history: History, rng: random.Random) -> Architecture:
        """What the sampler suggests that is in no trial, after a few questions whatever it suggests."""
        known = {trial.digest for trial in history.trials}
        distributions = [_distribution(names) for names in _names(history.space)]
        with quiet():
            study = self._study(history, distributions, rng)
            for _ in range(ASKED):
                asked = study.ask()
                suggested = history.space.take(_suggest(asked, history.space, distributions))
                if suggested.digest not in known and fits(history, suggested):
                    break
        return suggested

    def _study(self, history: History, distributions: Distributions, rng: random.Random) -> optuna.Study:
        complete = {trial.number for trial in history.complete}
        past = [_frozen(trial, trial.number in complete, history, distributions) for trial in history.trials]
        sampler = self._made(rng, [trial for trial in past if trial.state == TrialState.COMPLETE])
        if isinstance(sampler, BaseGASampler):
            _set_generations(sampler, past)
        if isinstance(sampler, QMCSampler):
            place = len(past)
            sampler._find_sample_id = lambda *_: place + rng.randrange(AHEAD)  # type: ignore[method-assign]
        study = optuna.create_study(directions=[o.direction for o in history.objectives], sampler=sampler)
        study.add_trials(past)
        return study

    def _made(self, rng: random.Random, complete: list[FrozenTrial]) -> BaseSampler:
        allowed = inspect.signature(self.sampler).parameters
        given: dict[str, Any] = {"seed": rng.getrandbits(32)}
        if len(complete) >= WARM:
            given["source_trials"] = complete
        given = {name: value for name, value in given.items() if name in allowed} | self.options
        try:
            with quiet():
                return self.sampler(**given)
        except (ImportError, TypeError, ValueError) as error:
            raise ConfigError(f"sampler {self.sampler.__name__} of Optuna cannot be made: {error}") from error


def optuna_sampler(*, sampler: str = "tpe", **options: Any) -> Strategy:
    """A sampler of Optuna, with its own options.

    sampler: ``tpe``, ``gp``, ``cmaes`` (needs the extra ``samplers``), ``qmc``, ``nsgaii``, ``nsgaiii``, ``bruteforce``
        or ``random``, or the name of the class.
    Raises ConfigError for a sampler there is not, or that needs more than a space, and for options it does not take.
    """
    known = {_plain(cls.__name__): cls for cls in _samplers()}
    if _plain(str(sampler)) not in known:
        raise UnknownNameError("sampler of Optuna", str(sampler), known)
    found = known[_plain(str(sampler))]
    parameters = inspect.signature(found).parameters
    for name in options:
        if name not in parameters or name == "seed":
            raise UnknownNameError(f"option of sampler {found.__name__}", name, [p for p in parameters if p != "seed"])
    made = OptunaSampler(found, options)
    made._made(random.Random(0), [])
    return made


def _samplers() -> list[type[BaseSampler]]:
    """All that a space and trials are enough for."""
    every = [getattr(optuna.samplers, name) for name in optuna.samplers.__all__ if name.endswith("Sampler")]
    required = inspect.Parameter.empty
    return [
        cls
        for cls in every
        if not inspect.isabstract(cls)
        and all(p.default is not required for p in inspect.signature(cls).parameters.values())
    ]


def _plain(name: str) -> str:
    """``TPESampler``, ``TPE`` and ``tpe`` are one; so are ``brute_force`` and ``BruteForceSampler``."""
    return name.lower().replace("_", "").replace("-", "").removesuffix("sampler")


def _names(space: Space) -> list[tuple[Any, ...]]:
    return [decision.names for decision in space.decisions]


def _ordered(names: Sequence[Any]) -> bool:
    return all(type(name) in (int, float) for name in names) and all(a < b for a, b in pairwise(names))


def _distribution(names: Sequence[Any]) -> BaseDistribution:
    many = len(names)
    return IntDistribution(0, many - 1) if _ordered(names) else CategoricalDistribution(range(many))


def _suggest(asked: optuna.Trial, space: Space, distributions: Distributions) -> Callable[[int], int]:
    def choose(number: int) -> int:
        label, distribution = space.decisions[number].label, distributions[number]
        if isinstance(distribution, IntDistribution):
            return asked.suggest_int(label, distribution.low, distribution.high)
        assert isinstance(distribution, CategoricalDistribution)
        chosen = asked.suggest_categorical(label, distribution.choices)
        assert isinstance(chosen, int)
        return chosen

    return choose


def _frozen(trial: Trial, complete: bool, history: History, distributions: Distributions) -> FrozenTrial:
    """A stopped trial is pruned, with its curve, to Optuna; it knows no such thing with several objectives."""
    state = {"running": TrialState.RUNNING, "stopped": TrialState.PRUNED}.get(trial.state, TrialState.FAIL)
    metric = history.objectives[0].metric
    curve = {epoch: said[metric] for epoch, said in enumerate(trial.curve, 1) if metric in said}
    if state == TrialState.PRUNED and (len(history.objectives) > 1 or not curve):
        state = TrialState.FAIL
    if complete:
        state = TrialState.COMPLETE
    picks, taken = history.space.picks(trial.architecture), dict[int, int]()

    def choose(number: int) -> int:
        """As `_suggest` is asked, so that the parameters stand in that order."""
        return taken.setdefault(number, picks[number])

    history.space.take(choose)
    return create_trial(
        state=state,
        values=trial.values if complete else None,
        params={history.space.decisions[i].label: pick for i, pick in taken.items()},
        distributions={history.space.decisions[i].label: distributions[i] for i in taken},
        intermediate_values=curve if state == TrialState.PRUNED else {},
    )


def _set_generations(sampler: BaseGASampler, trials: Sequence[FrozenTrial]) -> None:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert sampler.population_size is not None
    for number, trial in enumerate(complete):
        trial.system_attrs[sampler._get_generation_key()] = number // sampler.population_size
