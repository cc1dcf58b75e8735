"""A search that goes on with other objectives: its ledger is written anew, and the old one kept beside it.

Optuna fixes the number and the directions of a study's objectives when it is made.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial

from nas.controller.front import HYPERVOLUME, front, hypervolume_of, reference_values
from nas.controller.history import History, Objective, Trial
from nas.controller.journal import Journal, repair
from nas.controller.ledger import FILE, UNFINISHED
from nas.controller.lock import RunLock
from nas.controller.study import create_study, load_study, thawed
from nas.errors import LedgerError
from nas.space.space import Space

Missing = Callable[[Trial, Objective], float]
"""What an objective's metric is for a trial that has not recorded it; raises LedgerError where nobody can know."""


def change_objectives(folder: Path, space: Space, objectives: Sequence[Objective], missing: Missing) -> None:
    """Judges every trial of the search in `folder` by `objectives`, from what it has recorded or else `missing`.

    Nothing is changed when that cannot be: raises LedgerError for a trial without a value, and while another process
    drives the search. A search that has these objectives already is left alone.
    """
    folder = folder.resolve()
    lock = RunLock(folder)
    try:
        repair(folder / FILE)
        old = JournalStorage(Journal(folder / FILE))
        study, known = load_study(folder, old)
        if known == tuple(objectives):
            return
        frozen = old.get_all_trials(study, deepcopy=False)
        judged = _judged(space, [thawed(trial) for trial in frozen], objectives, missing)
        _write(folder, old, study, frozen, History(space, tuple(objectives), judged))
        before = folder / f"ledger.{len(list(folder.glob('ledger.*.before')))}.before"
        before.hardlink_to(folder / FILE)
        (folder / UNFINISHED).replace(folder / FILE)
    finally:
        lock.release()


def _judged(space: Space, trials: list[Trial], objectives: Sequence[Objective], missing: Missing) -> list[Trial]:
    """The trials with their values by these objectives and, where there are several, the hypervolumes."""
    found: list[Trial] = []
    for trial in trials:
        metrics = {name: value for name, value in trial.metrics.items() if name != HYPERVOLUME}
        values = None
        if trial.values is not None:
            metrics |= {o.metric: missing(trial, o) for o in objectives if o.metric not in metrics}
            values = tuple(metrics[objective.metric] for objective in objectives)
            if not all(map(math.isfinite, values)):
                raise LedgerError(f"trial {trial.number} has no finite value of every objective, got {values}")
        found.append(replace(trial, metrics=metrics, values=values))
        if len(objectives) > 1 and values is not None:
            covered = hypervolume_of(History(space, tuple(objectives), found))
            extra = {} if covered is None else {HYPERVOLUME: covered}
            found[-1] = replace(found[-1], metrics={**metrics, **extra})
    return found


def _write(
    folder: Path,
    old: JournalStorage,
    study: int,
    frozen: Sequence[FrozenTrial],
    judged: History,
) -> None:
    for leftover in (UNFINISHED, f"{UNFINISHED}.lock"):
        (folder / leftover).unlink(missing_ok=True)
    new = JournalStorage(Journal(folder / UNFINISHED))
    create_study(new, folder.name, judged.objectives)
    [made] = new.get_all_studies()
    for key, value in old.get_study_system_attrs(study).items():
        if key.startswith("nas:"):
            new.set_study_system_attr(made._study_id, key, value)
    if len(judged.objectives) > 1:
        new.set_study_user_attr(made._study_id, "front", [trial.number for trial in front(judged)])
        new.set_study_user_attr(made._study_id, "reference", reference_values(judged))
    for before, trial in zip(frozen, judged.trials, strict=True):
        template = copy.deepcopy(before)
        template.values = None if trial.values is None else list(trial.values)
        if trial.values is not None:
            template.set_user_attr("metrics", dict(trial.metrics))
        new.create_new_trial(made._study_id, template)
