"""Trials and objectives as Optuna stores them, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from nas.controller.history import Objective, State, Trial
from nas.errors import LedgerError
from nas.space.architecture import Architecture

FORMAT = 1
EPOCH = "nas:epoch:"
"""Key of one epoch's metrics of a trial in flight; a system attribute, so that the dashboard does not list them."""

SCORES = "nas:scores:"
"""Key of an architecture's zero-cost scores, by its digest; a system attribute of the study."""

STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "refused": TrialState.FAIL,
}


def attributes(trial: Trial) -> dict[str, Any]:
    """What Optuna has no field for, as user attributes; empty things are left out."""
    said = {
        "digest": trial.digest,
        "architecture": trial.architecture.to_dict(),
        "source": trial.source,
        "cached": trial.cached,
        **outcome(trial),
    }
    return {key: value for key, value in said.items() if value}


def outcome(trial: Trial) -> dict[str, Any]:
    """The part of `attributes` that is known when a trial ends."""
    said = {
        "metrics": dict(trial.metrics),
        "curve": [dict(metrics) for metrics in trial.curve],
        "seconds": trial.seconds,
        "reason": trial.reason,
        "state": "refused" if trial.state == "refused" else "",
    }
    return {key: value for key, value in said.items() if value}


def thawed(frozen: FrozenTrial) -> Trial:
    """The trial that Optuna stored."""
    said = frozen.user_attrs
    curve = said.get("curve") or _reported(frozen.system_attrs)
    last = curve[-1] if curve else {}
    return Trial(
        number=frozen.number,
        state=said.get("state") or _state(frozen.state),
        architecture=Architecture.from_dict(said["architecture"]),
        digest=said["digest"],
        values=None if frozen.values is None else tuple(frozen.values),
        metrics={**said.get("metrics", {}), **last},
        curve=tuple(curve),
        seconds=said.get("seconds", last.get("seconds", 0.0)),
        reason=said.get("reason", ""),
        source=said.get("source", ""),
        cached=said.get("cached", False),
    )


def _reported(system: Mapping[str, Any]) -> list[dict[str, float]]:
    epochs = {int(key.removeprefix(EPOCH)): said for key, said in system.items() if key.startswith(EPOCH) and said}
    return [epochs[number] for number in sorted(epochs)]


def _state(state: TrialState) -> State:
    return next(ours for ours, theirs in STATES.items() if theirs == state)


def create_study(storage: JournalStorage, name: str, objectives: Sequence[Objective]) -> None:
    """A study that knows the directions and names of its objectives."""
    with quiet():
        study = optuna.create_study(
            storage=storage, study_name=name, directions=[objective.direction for objective in objectives]
        )
        study.set_metric_names([objective.name for objective in objectives])
        study.set_user_attr("nas", {"format": FORMAT, "objectives": [asdict(objective) for objective in objectives]})


def load_study(folder: Path, storage: JournalStorage) -> tuple[int, tuple[Objective, ...]]:
    """The id of the one study in a journal, and its objectives."""
    studies = storage.get_all_studies()
    said = studies[0].user_attrs.get("nas") if len(studies) == 1 else None
    if said is None:
        raise LedgerError(f"expected the study of one search in {folder}, got {len(studies)} others")
    if said["format"] != FORMAT:
        raise LedgerError(f"expected a ledger of format {FORMAT} in {folder}, got {said['format']}; update the package")
    return studies[0]._study_id, tuple(Objective(**objective) for objective in said["objectives"])


def load_scores(storage: JournalStorage, study: int) -> tuple[dict[str, dict[str, float]], float]:
    """The zero-cost scores by digest, and the seconds that all of them took."""
    kept = storage.get_study_system_attrs(study)
    said = {key.removeprefix(SCORES): value for key, value in kept.items() if key.startswith(SCORES)}
    return {digest: one["scores"] for digest, one in said.items()}, sum(one["seconds"] for one in said.values())


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna announces every study, warns of its own fall-backs, and calls parts of itself experimental for years."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
