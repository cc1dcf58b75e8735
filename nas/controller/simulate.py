"""A search on a table, in simulated time: what a strategy would have found, and when, without a training."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from nas.controller.front import hypervolume, turned
from nas.controller.history import History, Limit, Score, Strategy, Trial
from nas.controller.job import Done, Wait
from nas.controller.propose import Proposal, Proposer
from nas.controller.table import Row, Table
from nas.errors import CandidateError, ConfigError
from nas.space.architecture import Architecture

REFUSALS = 1000
"""So many refusals in a row end a simulation."""
EQUAL = 1e-9
"""A regret this small is none: sums of floats differ by less."""


class Proposing(Protocol):
    """What `simulate` asks: a `Proposer`, or a stranger who keeps his own book."""

    def propose(self, history: History) -> Proposal | Score | Wait | Done:
        """What to do next, after the trials in `history`."""
        ...


@dataclass(frozen=True)
class Simulation:
    """What happened, in simulated seconds from the start.

    `ends` has the second at which each trial became known, `shares` how much of its training was done, below 1 where it
    was stopped; `propose_seconds` the real seconds that each proposal took; `scored` architectures had zero-cost scores
    computed, which took `score_seconds`; `reason` says why it ended.
    """

    table: Table
    trials: tuple[Trial, ...]
    ends: tuple[float, ...]
    shares: tuple[float, ...]
    propose_seconds: tuple[float, ...]
    scored: int = 0
    score_seconds: float = 0.0
    reason: str = ""

    @property
    def trained(self) -> list[Trial]:
        """The trials that were trained, in the order in which they became known."""
        numbers = sorted(range(len(self.trials)), key=lambda number: (self.ends[number], number))
        return [self.trials[n] for n in numbers if self.trials[n].state != "refused"]

    @property
    def seconds(self) -> float:
        """When the last trial became known."""
        return max(self.ends, default=0.0)


def simulate(
    table: Table,
    strategy: tuple[str, Strategy],
    *,
    trials: int,
    seed: int,
    workers: int = 1,
    proxies: Sequence[str] = (),
    limits: Sequence[Limit] = (),
    halving: float | None = None,
) -> Simulation:
    """Runs a strategy (its name and itself) on a table until `trials` are trained, `workers` at a time.

    proxies: names of the zero-cost scores that the strategy may ask for; what they take is added to simulated time.
    halving: where a training has reached 1/halving of its epochs, or a power of that, it is stopped unless it is among
        the best 1/halving of all that got so far (Li et al., MLSys 2020, ASHA by stopping). `trials` is then the budget
        in whole trainings: of one that was stopped only its share counts.
    Raises ConfigError for numbers below one or a proxy the table does not have, PluginError when the strategy fails.
    """
    proposer = Proposer(table.space, strategy, seed)
    return play(table, proposer, trials=trials, workers=workers, proxies=proxies, limits=limits, halving=halving)


def play(
    table: Table,
    proposer: Proposing,
    *,
    trials: int,
    workers: int = 1,
    proxies: Sequence[str] = (),
    limits: Sequence[Limit] = (),
    halving: float | None = None,
) -> Simulation:
    """As `simulate`, for anybody who proposes."""
    for name, value in (("trials", trials), ("workers", workers)):
        if value < 1:
            raise ConfigError(f"expected {name} to be at least 1, got {value}")
    for name in proxies:
        if name not in table.proxies:
            raise ConfigError(f"the table has no zero-cost score {name!r}; it has {', '.join(table.proxies) or 'none'}")
    if halving is not None and not halving > 1:
        raise ConfigError(f"expected halving to be larger than 1, got {halving:g}")
    game = _Game(table, proposer, trials, workers, tuple(proxies), tuple(limits), halving)
    reason = game.run()
    return Simulation(
        table,
        tuple(game.trials),
        tuple(game.ends),
        tuple(game.shares),
        tuple(game.propose_seconds),
        len(game.scores),
        game.score_seconds,
        reason,
    )


@dataclass
class _Game:
    """The state of a simulation: trials, the clock, and what will happen: a heap of (second, number, epoch's place)."""

    table: Table
    proposer: Proposing
    budget: int
    workers: int
    proxies: tuple[str, ...]
    limits: tuple[Limit, ...]
    halving: float | None
    now: float = 0.0
    trials: list[Trial] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    running: list[tuple[float, int, int]] = field(default_factory=list)
    scores: dict[str, Mapping[str, float]] = field(default_factory=dict)
    score_seconds: float = 0.0
    propose_seconds: list[float] = field(default_factory=list)

    def run(self) -> str:
        """Why it ended."""
        refused = 0
        reason = f"the budget of {self.budget} trials is spent"
        while True:
            while len(self.running) == self.workers:
                self._next()
            if sum(self.shares) + len(self.running) > self.budget - 1 + EQUAL:  # what runs may go to its end
                if not self.running:
                    break
                self._next()
                continue
            answer = self._ask()
            if isinstance(answer, Done):
                reason = answer.reason
                break
            if self._start(answer):
                refused = 0
            elif (refused := refused + 1) >= REFUSALS:
                reason = f"all of the last {refused} candidates were refused, the last because {self.trials[-1].reason}"
                break
        while self.running:
            self._next()
        return reason

    def _next(self) -> None:
        """The clock goes to whatever happens next."""
        self.now = self.running[0][0]
        self._happen()

    def _ask(self) -> Proposal | Done:
        began = time.perf_counter()
        spent = 0.0  # on scores, which cost simulated seconds
        while True:
            answer = self.proposer.propose(self._history())
            if isinstance(answer, Score):
                paused = time.perf_counter()
                self._score(answer.architectures)
                spent += time.perf_counter() - paused
            elif not isinstance(answer, Wait):
                self.propose_seconds.append(time.perf_counter() - began - spent)
                return answer

    def _history(self) -> History:
        return History(
            self.table.space,
            self.table.objectives,
            tuple(self.trials),
            self.budget,
            self._measure,
            self.limits,
            self.proxies,
            self.scores,
        )

    def _measure(self, architecture: Architecture) -> Mapping[str, float]:
        return self.table.row(architecture).costs

    def _score(self, architectures: Sequence[Architecture]) -> None:
        """The scores of those that have none yet; the workers that are free share the work."""
        seconds = 0.0
        for architecture in architectures:
            if architecture.digest in self.scores:
                continue
            try:
                row = self.table.row(architecture)
            except CandidateError:
                self.scores[architecture.digest] = {}
                continue
            self.scores[architecture.digest] = {name: row.scores.get(name, math.nan) for name in self.proxies}
            seconds += sum(row.score_seconds.get(name, 0.0) for name in self.proxies)
        self.score_seconds += seconds
        self.now += seconds / (self.workers - len(self.running))
        self._happen()

    def _start(self, proposal: Proposal) -> bool:
        """Whether a worker took it, as opposed to its being refused."""
        number, made = len(self.trials), proposal.architecture
        trial = Trial(number, "running", made, made.digest, source=proposal.source)
        try:
            row = self.table.row(made)
            broken = [limit for limit in self.limits if not limit.met(row.costs)]
            if broken:
                raise CandidateError(f"{broken[0]} is not met: {broken[0].metric} is {row.costs.get(broken[0].metric)}")
        except CandidateError as error:
            self._add(replace(trial, state="refused", reason=str(error)))
            return False
        self._add(replace(trial, metrics=row.costs))
        self._plan(number, row, -1)
        return True

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.starts.append(self.now)
        self.ends.append(self.now)
        self.shares.append(0.0)

    def _plan(self, number: int, row: Row, after: int) -> None:
        """When the next epoch that something hangs on is reached."""
        place = next(place for place in self._places(row) if place > after)
        heapq.heappush(self.running, (self.starts[number] + row.seconds * _share(row, place), number, place))

    def _places(self, row: Row) -> list[int]:
        """The epochs at which a training may be stopped, and its last."""
        last = len(row.curve) - 1
        if self.halving is None:
            return [last]
        shares = [_share(row, place) for place in range(last)]
        steps = [self.halving**-k for k in range(1, 64) if shares and self.halving**-k > shares[0] / self.halving]
        found = {next((place for place, share in enumerate(shares) if share >= step - EQUAL), last) for step in steps}
        return sorted(found | {last})

    def _happen(self) -> None:
        """Every epoch that is reached by now becomes known, and what follows from it."""
        while self.running and self.running[0][0] <= self.now:
            second, number, place = heapq.heappop(self.running)
            row = self.table.row(self.trials[number].architecture)
            self.trials[number] = self._told(self.trials[number], row, place)
            if place < len(row.curve) - 1 and not self._stopped(self.trials[number], place):
                self._plan(number, row, place)
                continue
            self.ends[number], self.shares[number] = second, _share(row, place)
            self.trials[number] = self._ended(self.trials[number], row, place)

    def _told(self, trial: Trial, row: Row, place: int) -> Trial:
        seconds = row.seconds * _share(row, place)
        metrics = {**row.costs, **row.curve[place]}
        return replace(trial, metrics=metrics, curve=row.curve[: place + 1], seconds=seconds)

    def _stopped(self, trial: Trial, place: int) -> bool:
        assert self.halving is not None
        objective = self.table.objectives[0]
        told = [t.curve[place].get(objective.metric, math.nan) for t in self.trials if len(t.curve) > place]
        mine = objective.sign * trial.curve[place].get(objective.metric, math.nan)
        better = sum(objective.sign * value > mine for value in told)
        return better >= max(1.0, len(told) / self.halving)

    def _ended(self, trial: Trial, row: Row, place: int) -> Trial:
        values = tuple(_value(row, place, objective.metric) for objective in self.table.objectives)
        if not all(map(math.isfinite, values)):
            return replace(trial, state="failed", reason=f"expected finite values, got {values}")
        if place < len(row.curve) - 1:
            return replace(trial, state="stopped", values=values, reason="not among the best at this epoch")
        return replace(trial, state="complete", values=values)


def _share(row: Row, place: int) -> float:
    """How much of the training is done with that epoch: by its number, where rows say it."""
    last = len(row.curve) - 1
    whole = row.curve[last].get("epoch", last + 1)
    return 1.0 if place == last else row.curve[place].get("epoch", place + 1) / whole


def _value(row: Row, place: int, metric: str) -> float:
    return row.curve[place].get(metric, row.costs.get(metric, math.nan))


def after_trainings(simulation: Simulation, values: Sequence[float]) -> list[float]:
    """From a value after each of the trained trials to one after each whole training that was paid for.

    The same where none was stopped; a last training that was paid for in part counts.
    """
    found: list[float] = []
    spent, latest = 0.0, math.nan
    for trial, value in zip(simulation.trained, values, strict=True):
        spent += simulation.shares[trial.number]
        if len(found) + 1 < spent - EQUAL:
            found.append(latest)
        latest = value
        if len(found) + 1 < spent + EQUAL:
            found.append(latest)
    return [*found, latest] if spent > len(found) + EQUAL else found


def seconds_of(simulation: Simulation) -> list[float]:
    """The simulated second after each training."""
    return after_trainings(simulation, [simulation.ends[trial.number] for trial in simulation.trained])


def incumbents(simulation: Simulation) -> list[float]:
    """The judged value, after each training, of the trial that a user would take: the best by its objective so far.

    NaN until a trial is complete; with `halving`, after each whole training that was paid for. Raises ConfigError for
    a table of several objectives, which has no such trial.
    """
    table = simulation.table
    if table.judge is None:
        raise ConfigError("with several objectives there is no one best trial; ask for hypervolumes")
    found, best, judged = [], -math.inf, math.nan
    for trial in simulation.trained:
        score = -math.inf
        if trial.values and trial.state == "complete":
            score = table.objectives[0].sign * trial.values[0]
        if score > best:
            best, judged = score, _judged(table.row(trial.architecture), table.judge.metric)
        found.append(judged)
    return after_trainings(simulation, found)


def _judged(row: Row, metric: str) -> float:
    return row.known.get(metric, math.nan)


def hypervolumes(simulation: Simulation) -> list[float]:
    """The volume of objectives that all trials so far dominate within the table's reference, after each training."""
    table = simulation.table
    corner = turned(table.reference, table.objectives)
    points: list[tuple[float, ...]] = []
    found: list[float] = []
    for trial in simulation.trained:
        if trial.values and trial.state == "complete":
            points.append(turned(trial.values, table.objectives))
        found.append(hypervolume(points, corner))
    return after_trainings(simulation, found)


def regrets(simulation: Simulation) -> list[float]:
    """What is missing to the table's best after each training: in units of its judge, or as a share of hypervolume."""
    table = simulation.table
    if table.judge is not None:
        return [table.judge.sign * (table.best - value) + 0.0 for value in incumbents(simulation)]  # no -0.0
    return [1 - volume / table.best for volume in hypervolumes(simulation)]


def trainings_to_optimum(simulation: Simulation) -> int | None:
    """After how many trainings nothing was missing for the first time, None if something always was."""
    return next((n for n, regret in enumerate(regrets(simulation), 1) if regret <= EQUAL), None)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % confidence interval (Student's t); infinite for fewer than two values."""
    count = len(values)
    mean = sum(values) / count if count else math.nan
    if count < 2:
        return mean, math.inf
    from scipy.stats import t

    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    return mean, float(t.ppf(0.975, count - 1)) * math.sqrt(variance / count)
