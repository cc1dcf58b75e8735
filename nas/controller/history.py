"""What a strategy sees: the trials so far, finished and running."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from nas.errors import CandidateError
from nas.space.architecture import Architecture
from nas.space.space import Space

State = Literal["running", "complete", "stopped", "failed", "refused"]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """A metric of a trained candidate and which way is better."""

    name: str
    metric: str
    direction: Direction

    @property
    def sign(self) -> float:
        """1 where large is good, -1 where small is."""
        return 1.0 if self.direction == "maximize" else -1.0


@dataclass(frozen=True)
class Limit:
    """A bound on what is known of a candidate before it is trained: ``params <= 1e6``."""

    metric: str
    bound: float
    least: bool = False

    def met(self, known: Mapping[str, float]) -> bool:
        """Whether a candidate of which this is known keeps within it; what is not known does not."""
        value = known.get(self.metric, math.nan)
        return value >= self.bound if self.least else value <= self.bound

    def broken(self, candidate: Architecture, known: Mapping[str, float]) -> str:
        """Why a candidate that does not keep within it is refused."""
        return f"it breaks the limit {self}"

    def __str__(self) -> str:
        return f"{self.metric}{'>=' if self.least else '<='}{self.bound:g}"


@dataclass(frozen=True)
class Trial:
    """One trial as the ledger has it.

    `values` has one number an objective, None unless complete or stopped; `curve` one dictionary of metrics an epoch;
    `seconds` is training time; `reason` says why a trial failed, was refused or stopped; `source` who proposed it.
    One that is `cached` was not trained here: its results are those of an earlier search.
    """

    number: int
    state: State
    architecture: Architecture
    digest: str
    values: tuple[float, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()
    seconds: float = 0.0
    reason: str = ""
    source: str = ""
    cached: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state != "running"


Measure = Callable[[Architecture], Mapping[str, float]]
"""Gives what is known of a candidate before training (parameters, FLOPs); raises CandidateError to refuse it."""


def _nothing(architecture: Architecture) -> Mapping[str, float]:
    """What is known of a candidate where nothing measures it."""
    return {}


@dataclass(frozen=True)
class History:
    """The space, the objectives, the budget of trials, and every trial in the order of its number.

    `measure` gives the costs of any candidate and refuses those that cannot be built; `limits` are bounds on them.
    `proxies` names the zero-cost scores that may be asked for with a `Score`, `scores` has those known, by digest;
    of `scorable` more architectures at most they may be asked now, None for any number.
    `deadline` is the `time.monotonic` at which the search is over, None for no limit.
    """

    space: Space
    objectives: tuple[Objective, ...]
    trials: Sequence[Trial]
    budget: int | None = None
    measure: Measure = _nothing
    limits: tuple[Limit, ...] = ()
    proxies: tuple[str, ...] = ()
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scorable: int | None = None
    deadline: float | None = None

    def allowed(self, architecture: Architecture) -> bool:
        """Whether the candidate can be built and keeps within every limit."""
        try:
            costs = self.measure(architecture)
        except CandidateError:
            return False
        return all(limit.met(costs) for limit in self.limits)

    @cached_property
    def complete(self) -> list[Trial]:
        """Trials that ran to their end and have finite values."""
        return [t for t in self.trials if t.state == "complete" and t.values and all(map(math.isfinite, t.values))]

    def score(self, trial: Trial) -> float:
        """The first objective, turned so that more is better; -inf where there is none."""
        if not trial.values or not math.isfinite(trial.values[0]):
            return -math.inf
        return self.objectives[0].sign * trial.values[0]

    @cached_property
    def best(self) -> Trial | None:
        """The complete trial with the highest score, the earliest of equals."""
        return max(self.complete, key=self.score, default=None)


@dataclass(frozen=True)
class Score:
    """A strategy's wish to know the zero-cost scores of some architectures before it proposes one."""

    architectures: tuple[Architecture, ...]


def check_strategy(strategy: Strategy, space: Space, objectives: Sequence[Objective]) -> None:
    """Raises ConfigError when the strategy says that it cannot work with the space or the objectives."""
    check = getattr(strategy, "check", None)
    if check is not None:
        check(space, objectives)


def explained(strategy: Strategy, history: History) -> dict[str, float]:
    """What the strategy says it goes by; empty for one that does not say, or has nothing to go by yet."""
    explain = getattr(strategy, "explain", None)
    return {} if explain is None else dict(explain(history))


class Strategy(Protocol):
    """Decides what to try next. It keeps no state: all it knows is in `history`.

    `rng` comes from the search's seed and the trial's number. When the network proposed was trained before, `propose`
    is called again with the same `rng`, so a proposal must depend on it. Raises nothing for NaN or missing values.

    One that cannot work with every space or objective may have a second method, ``check(space, objectives) -> None``:
    it is called before anything is trained and raises ConfigError, in one sentence that says what to do instead.

    One with a model may have a third, ``explain(history) -> Mapping[str, float]``: by name, which share each part of
    what the model reads has in what it says, together 1, or nothing while there is no model. ``nas show`` prints it.
    """

    def propose(self, history: History, rng: random.Random) -> Architecture | Score:
        """The next architecture to train, or those whose scores it wants to see first."""
        ...
