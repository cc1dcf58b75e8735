"""What every strategy must be: a function of the history and the generator, in the space, calm about bad trials."""

from __future__ import annotations

import random
from typing import Any

from nas.controller.history import History
from nas.space.architecture import Architecture
from nas.testing import toys
from nas.testing.case import Case
from nas.testing.elsewhere import same_elsewhere

SEEDS = 12


def check_proposals_are_in_the_space(case: Case) -> None:
    """Whatever the history (empty, running, failed, refused, NaN, infinite, equal), the proposal is in the space."""
    for name, history in _all_histories().items():
        for seed in range(SEEDS):
            made = _propose(case, history, seed, name)
            assert made in history.space, f"{case}: history {name!r}: not in the space: {dict(made.decisions)}"


def check_proposals_are_the_same_elsewhere(case: Case) -> None:
    """Another process with another PYTHONHASHSEED proposes the same for the same seed and history."""
    same_elsewhere(proposals, case)


def check_proposals_depend_on_the_generator(case: Case) -> None:
    """Another generator gives another proposal: a strategy asked again after a duplicate must be able to go on."""
    for name, history in _all_histories().items():
        made = {_propose(case, history, seed, name).to_json() for seed in range(SEEDS)}
        assert len(made) > 1, f"{case}: history {name!r}: {SEEDS} seeds give one proposal; does it use its rng?"


def check_asked_again_proposes_another(case: Case) -> None:
    """Asked again with the same generator, as after a duplicate, it does not repeat itself for ever."""
    for name, history in _all_histories().items():
        strategy, rng = case.make(), random.Random(0)
        made = {strategy.propose(history, rng).to_json() for _ in range(SEEDS)}
        assert len(made) > 1, f"{case}: history {name!r}: asked {SEEDS} times, it proposes one architecture"


def check_has_no_hidden_state(case: Case) -> None:
    """One that has proposed for other histories answers as a fresh one, and asks nothing of the global generator."""
    used = case.make()
    for name, history in _all_histories().items():
        used.propose(history, random.Random(99))
        random.seed(1)
        one = used.propose(history, random.Random(0))
        random.seed(2)
        other = _propose(case, history, 0, name)
        assert one == other, f"{case}: history {name!r}: a used and a fresh strategy propose differently"


def check_leaves_the_history_alone(case: Case) -> None:
    """Proposing changes nothing in the history."""
    for name, history in _all_histories().items():
        before = repr(history.trials)
        _propose(case, history, 0, name)
        assert repr(history.trials) == before, f"{case}: history {name!r}: proposing changed its trials"


def proposals(case: Case) -> list[str]:
    """A few proposals for every history, as JSON."""
    known = _all_histories()
    return [_propose(case, known[name], seed, name).to_json() for name in sorted(known) for seed in range(SEEDS)]


def _propose(case: Case, history: History, seed: int, name: str) -> Architecture:
    try:
        made: Any = case.make().propose(history, random.Random(seed))
    except Exception as error:
        raise AssertionError(f"{case}: history {name!r}: propose raises {type(error).__name__}: {error}") from error
    assert isinstance(made, Architecture), f"{case}: history {name!r}: proposes a {type(made).__name__}"
    return made


def _all_histories() -> dict[str, History]:
    return {
        f"{name} of {space.name}": history
        for space in (toys.cell_space(), toys.conditional_space())
        for name, history in toys.histories(space).items()
    }


CHECKS = (
    check_proposals_are_in_the_space,
    check_proposals_are_the_same_elsewhere,
    check_proposals_depend_on_the_generator,
    check_asked_again_proposes_another,
    check_has_no_hidden_state,
    check_leaves_the_history_alone,
)
