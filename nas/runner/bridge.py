"""Between Ray Tune's loop and the controller: Tune asks, tells and is ended; the controller decides and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import ray
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from nas.controller.controller import Controller
from nas.controller.history import State
from nas.controller.job import INTERRUPTED, TIME_UP, Done, Job, ScoreJob
from nas.errors import LedgerError, NasError
from nas.runner.spec import Resources, WorkerSpec
from nas.runner.trainable import MESSAGE

ASK_SECONDS = 0.2
"""How long candidates may be refused one after the other before the trials that run are seen to."""

LOOK_SECONDS = 1.0

Configuration = dict[str, str]

RESIZED = Done("later trials get another part of a GPU", "refused")
"""Ends Tune's loop, when its trials have ended, and not the search."""


class Leave(BaseException):
    """Out of Tune's loop at once; no Exception, for Tune would clean up for up to fifteen seconds."""


class Bridge:
    """One search on Ray Tune; whatever Tune asks or tells comes through here.

    With `may_leave`, because Ray is stopped afterwards, a search that must end now raises Leave in Tune's loop.
    """

    def __init__(self, controller: Controller, spec: WorkerSpec, resources: Resources, may_leave: bool) -> None:
        self.controller, self.resources = controller, resources
        self._may_leave = may_leave
        self._target = spec.target
        self._worker = json.dumps({"target": spec.target, "config": {**spec.config, "threads": resources.threads}})
        self._live: dict[str, int] = {}
        self._actors: dict[str, Any] = {}
        self._done: Done | None = None
        self._error: Exception | None = None
        self._ending = False
        self._awaited: set[int] = set()
        self._alive: Callable[[], bool] = _always
        self._looked = 0.0
        self.ray_died = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Empty: Tune pickles all it is given so that it can be restored, which is the ledger's part here."""
        return (object.__new__, (Bridge,))

    def watch(self, alive: Callable[[], bool]) -> None:
        """Looks once a second whether Ray is `alive`; what ran on one that died is left to the next."""
        self._alive, self.ray_died, self._ending = alive, False, False
        self.controller.left(number for number in self._live.values() if number >= 0)
        for number in [number for number in self._live.values() if number < 0]:
            self.controller.scored(number)
        self._live.clear()
        self._actors.clear()

    def finish(self) -> None:
        """Ends the search when the trials that run have trained their epochs, and starts nothing more."""
        self._done = INTERRUPTED
        self._awaited = {number for number in self._live.values() if number >= 0}

    def leave(self) -> None:
        """Ends the search at Tune's next step."""
        self._done = INTERRUPTED
        self._awaited = set()

    @property
    def outgrown(self) -> bool:
        """Whether trials that start now are to have other resources than those that run."""
        if not self.resources.shares_gpus or self._done is not None or self._error is not None:
            return False
        return self.resources.fitted(self.controller.history.trials) != self.resources

    def outcome(self) -> Done:
        """Why the search ended; raises the error that ended it."""
        if self._error is not None:
            raise self._error
        assert self._done is not None, "Ray Tune ended before the search did"
        return self._done

    def ask(self, trial_id: str) -> Configuration | Done | None:
        """The configuration of Tune's next trial, None to be asked again, or that there will be none."""
        until = monotonic() + ASK_SECONDS
        while self._done is None:
            if self.outgrown:
                return RESIZED
            answer = self.controller.next()
            if isinstance(answer, Job | ScoreJob):
                self._live[trial_id] = answer.number
                return {"job": json.dumps(answer.to_dict()), "worker": self._worker}
            if isinstance(answer, Done) and answer.cause in ("budget", "space") and self._live:
                return None  # Tune would not ask again, and what runs may lose its worker
            if isinstance(answer, Done):
                self._done = answer
            elif self._live and (answer.idle or monotonic() > until):
                return None
        return self._done

    def started(self, trial: TuneTrial) -> None:
        """A worker has taken a trial."""
        self._actors[trial.trial_id] = trial.temporary_state.ray_actor

    def told(self, trial: TuneTrial, result: dict[str, Any]) -> None:
        """What a worker says: an epoch, the end of a trial, or what went wrong."""
        message = json.loads(result[MESSAGE])
        self._awaited.discard(self._live.get(trial.trial_id, 0))
        if "broken" in message:
            raise NasError(f"worker {self._target!r} cannot be made: {message['broken']}")
        if "unsafe" in message:
            raise LedgerError(message["unsafe"])
        if "lost" in message:
            self.lost(trial, message["lost"])
            return
        if "failed" in message:
            self.ended(trial, "failed", message["failed"])
            return
        if "scores" in message:
            self._actors.pop(trial.trial_id, None)
            self.controller.scored(self._live.pop(trial.trial_id), message["scores"])
            return
        if "metrics" in message:
            self.controller.report(self._live[trial.trial_id], message["metrics"])
        if message["last"]:
            self.ended(trial, "complete")

    def ended(self, trial: TuneTrial, state: State, reason: str = "") -> None:
        """A trial has ended; what Tune says after that is no news."""
        self._actors.pop(trial.trial_id, None)
        number = self._live.pop(trial.trial_id, None)
        if number is not None and number < 0:
            self.controller.scored(number)
        elif number is not None:
            self.controller.finish(number, state, reason)

    def lost(self, trial: TuneTrial, reason: str) -> None:
        """A trial's worker, or a process beside it, has died; scores are not asked for again."""
        self._actors.pop(trial.trial_id, None)
        number = self._live.pop(trial.trial_id, None)
        if number is None:
            return
        self._awaited.discard(number)
        if number < 0:
            self.controller.scored(number)
        else:
            self.controller.lost(number, reason)

    def guarded(self, told: Callable[..., None], *args: Any) -> None:
        """Calls `told` unless the search is ending; an error of ours ends it, and is not taken for one of a trial."""
        if self._ending or self._error is not None:
            return
        try:
            told(*args)
        except Exception as error:
            self._error = error

    def over(self) -> bool:
        """Whether Tune must end now; workers are killed then, for one epoch can be longer than anyone's patience."""
        if not self._ending and self._must_end():
            self._ending = True
            for actor in self._actors.values() if not self.ray_died else ():
                ray.kill(actor)
            if self._may_leave:
                raise Leave
        return self._ending

    def _must_end(self) -> bool:
        if self._error is not None:
            return True
        if self._done is INTERRUPTED and not self._awaited:
            return True
        if monotonic() > self._looked + LOOK_SECONDS:
            self._looked = monotonic()
            if not self._alive():
                self.ray_died = True
                return True
        if self.controller.seconds_left > 0:
            return False
        if self._live and self._done is not INTERRUPTED:
            self._done = TIME_UP
            return True
        return self._done is TIME_UP


class Asker(Searcher):
    """Asks the controller for Tune's next trial."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        """See Searcher."""
        answer: list[Configuration | Done | None] = []
        self._bridge.guarded(lambda: answer.append(self._bridge.ask(trial_id)))
        return Searcher.FINISHED if not answer or isinstance(answer[0], Done) else answer[0]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: `Ear` hears more."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""


class Ear(Callback):
    """Hears what happens to Tune's trials."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """See Callback."""
        self._bridge.guarded(self._bridge.started, trial)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """See Callback."""
        self._bridge.guarded(self._bridge.told, trial, result)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """A trial that did not say that it was its last epoch was stopped by the scheduler."""
        self._bridge.guarded(self._bridge.ended, trial, "stopped", "stopped by the scheduler")
        _forget_statistics(trial)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """A worker has died: a trial that raises is no error for Tune."""
        self._bridge.guarded(self._bridge.lost, trial, _cause_of_death(trial))
        _forget_statistics(trial)


class Ender(Stopper):
    """Ends Tune at the deadline, at Ctrl-C and at errors."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Trials are stopped by schedulers only."""
        return False

    def stop_all(self) -> bool:
        """Asked at every step of Tune's loop, ten times a second or more."""
        return self._bridge.over()


def _always() -> bool:
    return True


def _forget_statistics(trial: TuneTrial) -> None:
    """Tune keeps every trial to its end, each with 20 kB of statistics that only its own analysis reads."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()


def _cause_of_death(trial: TuneTrial) -> str:
    # Tune's own `get_error` reads a copy that is not there yet
    file = Path(trial.error_file) if trial.error_file else None
    said = " ".join(file.read_text().split()) if file is not None and file.is_file() else ""
    if "OUT_OF_MEMORY" in said or "running low on memory" in said:  # by Ray; Linux does not say whom it kills
        return "the worker was killed because the machine ran out of memory"
    _, found, detail = said.partition("Worker exit detail: ")
    detail = detail.partition(". ")[0] if found else said[-200:]
    return f"the worker process died: {detail}" if detail else "the worker process died"
