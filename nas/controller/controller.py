"""A search in progress: what is tried next, and how all that happens is written down.

Runners know nothing of strategies, budgets or ledgers: they ask `next`, hand the job to a worker, and say `report` and
`finish`. A trial that nobody finishes stays in flight in the ledger, and is the first thing a resumed search does.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol

from nas.controller.cache import Known, ResultCache
from nas.controller.checkpoints import checkpoint_file
from nas.controller.history import History, Limit, Measure, Score, State, Strategy, Trial
from nas.controller.job import TIME_UP, Done, Job, ScoreJob, Wait
from nas.controller.ledger import Ledger
from nas.controller.propose import Proposal, Proposer
from nas.controller.scoring import Scoring
from nas.controller.tally import Tally
from nas.errors import CandidateError, SpaceError
from nas.space.architecture import Architecture
from nas.storage import File, write

if TYPE_CHECKING:
    import pluggy

FIRST_REFUSALS = 100
"""So many refusals, with nothing ever accepted, mean that the space does not fit the task."""
REFUSALS = 1000
"""So many refusals in a row end a search that has accepted something before."""

MOST_LOSSES = 2
"""Workers that a trial may lose: one that a machine took is no fault of a trial, each that it gets killed is."""

logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """Sees a trial whenever something happens to it: it starts or goes on, reports an epoch, ends, or is refused."""

    def __call__(self, trial: Trial, history: History) -> None:
        """Must be quick, for the search waits, and not keep the `history`, whose trials change."""
        ...


class Controller:
    """Decides and records; not for more than one thread.

    strategy: its name, for records and errors, and itself.
    budget: how many trials to run, those that fail included and refused candidates not; None for no limit.
    deadline: the `time.monotonic` at which the search is over; None for no limit.
    seed: of the strategy, and of every training: one architecture trains alike whenever its turn comes.
    reference: an architecture to train before all others.
    check: gives what is known of a candidate before training, or raises CandidateError to refuse it.
    quick: gives what strategies ask about, of what `check` gives, while there are no limits; by default `check`.
    limits: what is outside of one is refused, too.
    proxies: names of the zero-cost scores that the strategy may wish for, as far as they are cheap.
    cache: results of earlier searches; a network that is in it is answered, and counts as a trial.
    place: where checkpoints are, by default the ledger's folder.
    observers: the hooks of the plugins.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        strategy: tuple[str, Strategy],
        check: Measure,
        quick: Measure | None = None,
        budget: int | None = None,
        deadline: float | None = None,
        seed: int = 0,
        reference: Architecture | None = None,
        limits: Sequence[Limit] = (),
        proxies: Sequence[str] = (),
        cache: ResultCache | None = None,
        place: File | None = None,
        observers: pluggy.HookRelay | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.ledger = ledger
        self.budget = budget
        self.deadline = deadline
        self.seed = seed
        self._check = check
        self._quick = quick or check
        self._limits = tuple(limits)
        self._given: list[Limit] = []
        self._cache = cache
        self._place = place or ledger.folder
        self._observers = observers
        self._watcher = watcher
        known = (trial.digest for trial in ledger.trials)
        self._proposer = Proposer(ledger.space, strategy, seed, known, reference)
        self._ahead: Proposal | Score | Wait | Done | None = None
        self._tally = Tally(ledger.objectives, ledger.trials)
        self._scoring = Scoring(ledger, self._tally, proxies, budget)
        self._left_over = deque(trial.number for trial in ledger.trials if not trial.finished)
        self._losses: Counter[int] = Counter()
        self._accepted = sum(trial.state != "refused" for trial in ledger.trials)
        self._refusals = Counter(trial.reason for trial in _refused_last(ledger.trials))

    @property
    def history(self) -> History:
        """All trials as they are now."""
        scorable = self._scoring.scorable(self.seconds_left)
        return replace(
            self.ledger.history(self.budget),
            measure=self._check if self._limits else self._quick,
            limits=self._limits,
            proxies=self._scoring.proxies,
            scorable=scorable,
            deadline=self.deadline,
        )

    def _looked_at(self) -> History:
        """The trials for those who are told of an event: not a copy of all of them at each."""
        live = self.ledger.history(self.budget, live=True)
        return replace(live, measure=self._check, limits=self._limits, deadline=self.deadline)

    @property
    def seconds_left(self) -> float:
        """Until the deadline; infinite without one."""
        return math.inf if self.deadline is None else self.deadline - time.monotonic()

    def begin(self) -> None:
        """Tells the observers that the search starts or goes on."""
        self._tell("nas_search_started", run=str(self.ledger.folder))

    def prepare(self) -> None:
        """Thinks of what `next` will say, which takes a second the first time: for while workers are started."""
        if not self._left_over and (self.budget is None or self._accepted < self.budget):
            self._ahead = self._proposer.propose(self.history)

    def restrict(self, limit: Limit) -> None:
        """Refuses what is outside of a limit that comes from where trials run.

        Strategies hear of it when it was broken for the first time: in most searches nothing is near it, and to keep
        within it they would have to measure all that they think of.
        """
        self._given.append(limit)

    def end(self) -> None:
        """Tells the observers that the search has ended; for when the winner is exported."""
        self._tell("nas_search_finished", run=str(self.ledger.folder))

    def next(self) -> Job | ScoreJob | Wait | Done:
        """What to run now: trials that a dead driver left in flight, then new ones and what they need to be chosen.

        Raises SpaceError when no candidate is ever accepted, PluginError when the strategy fails.
        """
        if self.seconds_left <= 0:
            return TIME_UP
        if self._left_over:
            trial = self.ledger.trials[self._left_over.popleft()]
            self._show(trial)
            return Job(trial.number, trial.architecture, self.seed, resume=True)
        if self.budget is not None and self._accepted >= self.budget:
            return Done(f"the budget of {self.budget} trials is spent", "budget")
        if (job := self._scoring.next()) is not None:
            return job
        if self._scoring.waiting:
            return Wait(idle=True)
        proposal = self._ahead or self._proposer.propose(self.history)
        self._ahead = None
        if isinstance(proposal, Proposal):
            return self._decide(proposal)
        if isinstance(proposal, Score):
            self._scoring.wish(proposal)
            return self._scoring.next() or Wait()
        if isinstance(proposal, Done) and not self._accepted:
            raise self._unfit()
        return proposal

    def scored(self, number: int, found: Sequence[Mapping[str, Mapping[str, float]]] = ()) -> None:
        """What a worker says of the architectures of a `ScoreJob`; nothing where it died."""
        self._scoring.scored(number, found)

    def report(self, number: int, metrics: Mapping[str, float]) -> Trial:
        """One epoch of a trial has been trained."""
        trial = self.ledger.report(number, metrics)
        self._tell("nas_trial_reported", trial=trial)
        return self._show(trial)

    def lost(self, number: int, reason: str) -> Trial:
        """A trial has lost its worker: another goes on from its last epoch, but not again and again."""
        self._losses[number] += 1
        if self._losses[number] > MOST_LOSSES:
            return self.finish(number, "failed", f"{reason} ({self._losses[number]} times)")
        self._left_over.append(number)
        return self.ledger.trials[number]

    def left(self, numbers: Iterable[int]) -> None:
        """Trials whose workers are gone through no fault of theirs, with the machine or with Ray: they go on."""
        self._left_over.extend(numbers)

    def finish(self, number: int, state: State, reason: str = "") -> Trial:
        """A trial has ended; its values are those of the last epoch.

        One that is called complete without a finite value for every objective is recorded as failed.
        """
        metrics = self.ledger.trials[number].metrics
        found = [metrics.get(objective.metric) for objective in self.ledger.objectives]
        values = [value for value in found if value is not None and math.isfinite(value)]
        valid = len(values) == len(found)
        if state == "complete" and not valid:
            state, reason = "failed", self._no_values(metrics)
        kept = values if valid and state in ("complete", "stopped") else None
        trial = self.ledger.finish(number, state, kept, reason)
        if self._cache is not None and state == "complete":
            self._cache.put(trial)
        self._tell("nas_trial_finished", trial=trial)
        return self._show(trial)

    def _decide(self, proposal: Proposal) -> Job | Wait | Done:
        try:
            metrics = self._check(proposal.architecture)
        except CandidateError as error:
            return self._refuse(proposal, str(error))
        if broken := [limit for limit in dict.fromkeys((*self._limits, *self._given)) if not limit.met(metrics)]:
            self._limits = tuple(dict.fromkeys((*self._limits, *broken)))
            reasons = (limit.broken(proposal.architecture, metrics) for limit in broken)
            return self._refuse(proposal, " and ".join(reasons), metrics)
        self._refusals.clear()
        self._accepted += 1
        if self._cache is not None and (known := self._cache.get(proposal.architecture.digest)) is not None:
            answered = self._answered(proposal, metrics, known)
            if answered is not None:
                return answered
        trial = self.ledger.start(proposal.architecture, source=proposal.source, metrics=metrics)
        self._show(trial)
        return Job(trial.number, trial.architecture, self.seed)

    def _answered(self, proposal: Proposal, metrics: Mapping[str, float], known: Known) -> Wait | None:
        """A trial whose result is known; None where it must be trained: a value is missing, or a winner's weights."""
        metrics = {**known.metrics, **metrics}
        found = [metrics.get(objective.metric, math.nan) for objective in self.ledger.objectives]
        if not all(map(math.isfinite, found)):
            return None
        if known.weights is not None:
            try:
                write(checkpoint_file(self._place, len(self.ledger.trials)), known.weights.read_bytes())
            except OSError:
                return None
        elif not self._tally.beaten(found):  # it would be the best one, or on the front: its weights are wanted
            return None
        trial = self.ledger.answer(
            proposal.architecture,
            source=proposal.source,
            metrics=metrics,
            curve=known.curve,
            values=found,
            seconds=known.seconds,
        )
        self._tell("nas_trial_finished", trial=trial)
        self._show(trial)
        return Wait()

    def _refuse(self, proposal: Proposal, reason: str, metrics: Mapping[str, float] | None = None) -> Wait | Done:
        trial = self.ledger.refuse(proposal.architecture, source=proposal.source, reason=reason, metrics=metrics)
        self._tell("nas_trial_finished", trial=trial)
        self._show(trial)
        self._refusals[reason] += 1
        if self._refusals.total() >= FIRST_REFUSALS and not self._accepted:
            raise self._unfit()
        return Done(self._refused(), "refused") if self._refusals.total() >= REFUSALS else Wait()

    def _refused(self) -> str:
        commonest, times = self._refusals.most_common(1)[0]
        total = self._refusals.total()
        return f"all of the last {total} candidates were refused, {times} of them because {commonest}"

    def _unfit(self) -> SpaceError:
        return SpaceError(f"space {self.ledger.space.name!r} does not fit the task: {self._refused()}")

    def _no_values(self, metrics: Mapping[str, float]) -> str:
        for objective in self.ledger.objectives:
            value = metrics.get(objective.metric)
            if value is None:
                known = ", ".join(metrics) or "nothing"
                return f"objective {objective.name!r}: expected metric {objective.metric!r}, got {known}"
            if not math.isfinite(value):
                return f"objective {objective.name!r}: expected a finite {objective.metric}, got {value}"
        return ""

    def _show(self, trial: Trial) -> Trial:
        self._tally.see(trial)
        if self._watcher is not None:
            try:
                self._watcher(trial, self._looked_at())
            except Exception:
                logger.warning("the display failed at trial %d; the search goes on", trial.number, exc_info=True)
        return trial

    def _tell(self, hook: str, **said: Any) -> None:
        """One observer after the other, so that one that raises neither ends the search nor silences the rest."""
        heard = getattr(self._observers, hook).get_hookimpls() if self._observers is not None else ()
        if heard:
            said["history"] = self._looked_at()
        for plugin in heard:
            try:
                plugin.function(*(said[name] for name in plugin.argnames))
            except Exception:
                logger.warning("%s of plugin %r failed; the search goes on", hook, plugin.plugin_name, exc_info=True)


def _refused_last(trials: Sequence[Trial]) -> Iterator[Trial]:
    return takewhile(lambda trial: trial.state == "refused", reversed(trials))
