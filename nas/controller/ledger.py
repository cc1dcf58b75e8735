"""The record of a search: an Optuna study in a journal file, so that Optuna's dashboard and plots open it as it is.

With several objectives the study's attributes hold the ``front`` (numbers of trials) and the ``reference`` of the
hypervolume, and each trial's metrics the ``hypervolume`` that was covered when it ended.

A trial costs one write when it starts, one an epoch and one at its end; the last waits for the disk, so that a result
is safe before anyone sees it. Strategies and people see the trials kept in memory: the study is read once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.trial import create_trial

from nas.controller.front import HYPERVOLUME, Front
from nas.controller.history import History, Objective, State, Trial
from nas.controller.journal import Journal, repair
from nas.controller.lock import RunLock
from nas.controller.study import (
    EPOCH,
    SCORES,
    STATES,
    attributes,
    create_study,
    load_scores,
    load_study,
    outcome,
    thawed,
)
from nas.errors import LedgerError
from nas.space.architecture import Architecture
from nas.space.space import Space

FILE = "ledger.journal"
UNFINISHED = "ledger.tmp"

logger = logging.getLogger(__name__)


class Ledger:
    """The trials of one search; made by `create` or `open`, given back by `close`.

    `folder` is where it lives, `objectives` what the search is after, `trials` every trial in the order of its number;
    `scores` has the zero-cost scores by digest, all of which took `score_seconds`.
    """

    def __init__(self, folder: Path, space: Space, lock: RunLock | None) -> None:
        self.folder = folder
        self.space = space
        self._lock = lock
        self._journal = Journal(folder / FILE)
        self._storage = storage = JournalStorage(self._journal)
        self._study, self.objectives = load_study(folder, storage)
        found = storage.get_all_trials(self._study, deepcopy=False)
        self._ids = [trial._trial_id for trial in found]
        self.trials: list[Trial] = [thawed(trial) for trial in found]
        self.scores, self.score_seconds = load_scores(storage, self._study)
        self._distributions = {d.label: CategoricalDistribution(d.names) for d in space.decisions}
        self._front = Front(self.objectives)
        self._said: dict[str, Any] = {}
        if len(self.objectives) > 1:
            for trial in self.history().complete:
                self._front.add(trial.number, trial.values or ())

    @classmethod
    def create(
        cls, folder: str | Path, space: Space, objectives: Sequence[Objective], *, name: str | None = None
    ) -> Ledger:
        """A new ledger, locked for this process; `name` is the study's name, by default the folder's.

        Raises LedgerError, nothing changed, when `folder` holds another search or any other file.
        """
        folder = Path(folder).resolve()
        check_unused(folder)
        lock = RunLock(_made(folder))
        try:
            check_unused(folder)
            # under another name until it is whole, for readers, and for those who try again after a kill
            for leftover in (UNFINISHED, f"{UNFINISHED}.lock"):
                (folder / leftover).unlink(missing_ok=True)
            create_study(JournalStorage(Journal(folder / UNFINISHED)), name or folder.name, objectives)
            (folder / UNFINISHED).rename(folder / FILE)
            return cls(folder, space, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, folder: str | Path, space: Space, objectives: Sequence[Objective] = ()) -> Ledger:
        """The ledger of an earlier search, locked for this process and repaired where its writer was killed.

        Raises LedgerError when there is no search in `folder`, another process works on it, its journal is damaged, or
        it was after other `objectives` than those given.
        """
        folder = _holding(folder)
        lock = RunLock(folder)
        try:
            if dropped := repair(folder / FILE):
                logger.info("dropped %d bytes of a record that was not fully written to %s", dropped, folder / FILE)
            return cls._checked(folder, space, objectives, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(
        cls, folder: str | Path, space: Space, objectives: Sequence[Objective] = (), budget: int | None = None
    ) -> History:
        """What the ledger in `folder` holds now; nothing is locked or changed, so a running search can be read."""
        return cls._checked(_holding(folder), space, objectives, None).history(budget)

    @classmethod
    def _checked(cls, folder: Path, space: Space, objectives: Sequence[Objective], lock: RunLock | None) -> Ledger:
        try:
            ledger = cls(folder, space, lock)
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"expected Optuna's journal in {folder / FILE}, got a damaged one: {error!r}") from error
        if objectives and tuple(objectives) != ledger.objectives:
            was, now = (", ".join(o.name for o in some) for some in (ledger.objectives, objectives))
            raise LedgerError(f"expected the objectives of the search in {folder}, {was}, got {now}")
        return ledger

    @property
    def busy_seconds(self) -> float:
        """Time in which at least one trial was trained, over all sessions; not what lies between them."""
        found = self._storage.get_all_trials(self._study, deepcopy=False)
        spans: list[tuple[float, float]] = []
        for frozen, trial in zip(found, self.trials, strict=True):
            if trial.cached:
                continue
            if frozen.datetime_complete is not None:
                spans.append(
                    (frozen.datetime_complete.timestamp() - trial.seconds, frozen.datetime_complete.timestamp())
                )
            elif frozen.datetime_start is not None:
                spans.append((frozen.datetime_start.timestamp(), frozen.datetime_start.timestamp() + trial.seconds))
        busy, until = 0.0, -math.inf
        for start, end in sorted(spans):
            busy += max(0.0, end - max(start, until))
            until = max(until, end)
        return busy

    def history(self, budget: int | None = None, *, live: bool = False) -> History:
        """The trials as they are now; with `live` they are the ledger's own list, for who looks and forgets at once."""
        trials = self.trials if live else tuple(self.trials)
        return History(self.space, self.objectives, trials, budget, scores=self.scores)

    def record_scores(self, digest: str, scores: Mapping[str, float], seconds: float) -> None:
        """The zero-cost scores of an architecture, which took `seconds`; without any it is known to have none."""
        with self._journal.hurried():
            said: dict[str, Any] = {"scores": dict(scores), "seconds": seconds}
            self._storage.set_study_system_attr(self._study, f"{SCORES}{digest}", said)
        self.scores[digest] = dict(scores)
        self.score_seconds += seconds

    def start(
        self, architecture: Architecture, *, source: str = "", metrics: Mapping[str, float] | None = None
    ) -> Trial:
        """A running trial with the next number; `metrics` are what is known before training."""
        trial = Trial(len(self.trials), "running", architecture, architecture.digest, source=source)
        return self._append(replace(trial, metrics=dict(metrics or {})))

    def refuse(
        self, architecture: Architecture, *, source: str = "", reason: str, metrics: Mapping[str, float] | None = None
    ) -> Trial:
        """A trial that was refused before any training, with the reason; `metrics` are what is known of it."""
        trial = Trial(len(self.trials), "refused", architecture, architecture.digest, source=source, reason=reason)
        return self._append(replace(trial, metrics=dict(metrics or {})))

    def answer(
        self,
        architecture: Architecture,
        *,
        source: str,
        metrics: Mapping[str, float],
        curve: Sequence[Mapping[str, float]],
        values: Sequence[float],
        seconds: float,
    ) -> Trial:
        """A complete trial whose results were known before, all at once; it is on the disk when this returns."""
        trial = Trial(len(self.trials), "complete", architecture, architecture.digest, source=source, cached=True)
        trial = replace(trial, values=tuple(values), metrics=dict(metrics), curve=tuple(curve), seconds=seconds)
        return self._append(self._with_front(trial) if len(self.objectives) > 1 else trial, hurried=False)

    def report(self, number: int, metrics: Mapping[str, float]) -> Trial:
        """One epoch of a running trial; an epoch that comes again replaces itself and all after it."""
        trial = self._running(number)
        metrics = {name: value if isinstance(value, int) else float(value) for name, value in metrics.items()}
        epoch = int(metrics.setdefault("epoch", len(trial.curve) + 1))
        kept = tuple(before for before in trial.curve if before["epoch"] < epoch)
        value = metrics.get(self.objectives[0].metric)
        with self._journal.hurried(), self._journal.together():
            for stale in trial.curve[len(kept) :]:
                self._storage.set_trial_system_attr(self._ids[number], f"{EPOCH}{int(stale['epoch'])}", None)
            self._storage.set_trial_system_attr(self._ids[number], f"{EPOCH}{epoch}", metrics)
            if value is not None and math.isfinite(value):
                self._storage.set_trial_intermediate_value(self._ids[number], epoch, value)
        known = {**trial.metrics, **metrics}
        return self._replace(
            replace(trial, curve=(*kept, metrics), metrics=known, seconds=metrics.get("seconds", trial.seconds))
        )

    def finish(self, number: int, state: State, values: Sequence[float] | None = None, reason: str = "") -> Trial:
        """Ends a running trial; the result is on the disk when this returns."""
        trial = self._running(number)
        if values is not None and len(values) != len(self.objectives):
            raise LedgerError(f"trial {number}: expected {len(self.objectives)} values, got {len(values)}")
        ended = replace(trial, state=state, values=None if values is None else tuple(values), reason=reason)
        if len(self.objectives) > 1:
            ended = self._with_front(ended)
        with self._journal.together():
            for key, value in outcome(ended).items():
                self._storage.set_trial_user_attr(self._ids[number], key, value)
            self._storage.set_trial_state_values(self._ids[number], STATES[state], ended.values)
        return self._replace(ended)

    def _with_front(self, ended: Trial) -> Trial:
        """The trial with the hypervolume that is covered now; the study has the front and the reference point."""
        if ended.state == "complete" and ended.values and all(map(math.isfinite, ended.values)):
            self._front.add(ended.number, ended.values)
        said = {"front": self._front.numbers, "reference": self._front.reference}
        with self._journal.hurried():
            for key, value in said.items():
                if self._said.get(key, ...) != value:
                    self._storage.set_study_user_attr(self._study, key, value)
        self._said = said
        covered = self._front.hypervolume
        return ended if covered is None else replace(ended, metrics={**ended.metrics, HYPERVOLUME: covered})

    def close(self) -> None:
        """Gives the folder back; the ledger can still be read."""
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self, number: int) -> Trial:
        if not 0 <= number < len(self.trials) or self.trials[number].finished:
            raise LedgerError(f"expected the number of a running trial, got {number}")
        return self.trials[number]

    def _replace(self, trial: Trial) -> Trial:
        self.trials[trial.number] = trial
        return trial

    def _append(self, trial: Trial, *, hurried: bool = True) -> Trial:
        decisions = dict(trial.architecture.decisions)
        template = create_trial(
            state=STATES[trial.state],
            values=trial.values,
            params=decisions,
            distributions={label: self._distributions[label] for label in decisions},
            user_attrs=attributes(trial),
        )
        with self._journal.hurried() if hurried else nullcontext():
            self._ids.append(self._storage.create_new_trial(self._study, template))
        self.trials.append(trial)
        return trial


def check_unused(folder: Path) -> None:
    """Raises LedgerError when `folder` holds another search or any other file."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise LedgerError(f"expected a folder, got the file {folder}")
    if (folder / FILE).exists():
        raise LedgerError(f"{folder} holds another search; resume it or give another folder")
    ours = ("lock", UNFINISHED, f"{UNFINISHED}.lock")
    if other := sorted(path.name for path in folder.iterdir() if path.name not in ours):
        raise LedgerError(f"expected an empty folder, got {folder} with {other[0]!r} in it; give another folder")


def _holding(folder: str | Path) -> Path:
    folder = Path(folder).resolve()
    if not (folder / FILE).is_file():
        raise LedgerError(f"expected a search in {folder}, got a folder without {FILE}")
    return folder


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"expected a folder that can be written, got {folder}: {error.strerror}") from error
    return folder
