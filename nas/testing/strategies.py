"""What every strategy must be: a function of the history and the generator, in the space, calm about bad trials."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from nas.controller.history import History, Trial, check_strategy, explained
from nas.errors import ConfigError
from nas.space.architecture import Architecture
from nas.testing import toys
from nas.testing.case import Case
from nas.testing.elsewhere import same_elsewhere

SEEDS = 4
TRIES = 12
"""Of a strategy that may repeat itself by chance."""


def check_proposals_are_in_the_space(case: Case) -> None:
    """Whatever the history (empty, running, failed, refused, NaN, infinite, equal), the proposal is in the space."""
    for name, history in _histories(case).items():
        for seed in range(SEEDS):
            made = _propose(case, history, seed, name)
            assert made in history.space, f"{case}: history {name!r}: not in the space: {dict(made.decisions)}"


def check_proposals_are_the_same_elsewhere(case: Case) -> None:
    """Another process with another PYTHONHASHSEED proposes the same for the same seed and history."""
    same_elsewhere(proposals, case)


def check_proposals_depend_on_the_generator(case: Case) -> None:
    """With another generator, and the first proposal running, it proposes something else before long."""
    for name, history in _histories(case).items():
        first = _propose(case, history, 0, name)
        later = (_propose(case, _running(history, first), seed, name) for seed in range(1, TRIES))
        assert any(made != first for made in later), (
            f"{case}: history {name!r}: {TRIES} seeds give one proposal; does it use its rng?"
        )


def check_asked_again_proposes_another(case: Case) -> None:
    """Asked again with the same generator, as after a duplicate, it does not repeat itself for ever."""
    for name, history in _histories(case).items():
        strategy, rng = case.make(), random.Random(0)
        first = strategy.propose(history, rng)
        later = (strategy.propose(_running(history, first), rng) for _ in range(1, TRIES))
        assert any(made != first for made in later), (
            f"{case}: history {name!r}: asked {TRIES} times, it proposes one architecture"
        )


def check_has_no_hidden_state(case: Case) -> None:
    """One that has proposed for other histories answers as a fresh one, and asks nothing of the global generator."""
    used = case.make()
    for name, history in _histories(case).items():
        used.propose(history, random.Random(99))
        random.seed(1)
        one = used.propose(history, random.Random(0))
        random.seed(2)
        other = _propose(case, history, 0, name)
        assert one == other, f"{case}: history {name!r}: a used and a fresh strategy propose differently"


def check_leaves_the_history_alone(case: Case) -> None:
    """Proposing changes nothing in the history."""
    for name, history in _histories(case).items():
        before = repr(history.trials)
        _propose(case, history, 0, name)
        assert repr(history.trials) == before, f"{case}: history {name!r}: proposing changed its trials"


def check_refuses_in_a_sentence(case: Case) -> None:
    """What it cannot work with, its `check` refuses with a ConfigError of one line, and something it takes."""
    strategy, taken = case.make(), 0
    for name, history in _all_histories().items():
        error = _refusal(strategy, history)
        taken += error is None
        assert error is None or isinstance(error, ConfigError), f"{case}: history {name!r}: check raises {error!r}"
        assert "\n" not in str(error), f"{case}: history {name!r}: check says more than a sentence: {error}"
    assert taken, f"{case}: refuses every space and objective that is tried"


def check_explains_itself_in_shares(case: Case) -> None:
    """One with an `explain` names parts whose shares lie between 0 and 1 and add up to 1, or says nothing at all.

    It says the same of the same history, and changes nothing in it.
    """
    for name, history in _histories(case).items():
        before = repr(history.trials)
        said = explained(case.make(), history)
        assert all(isinstance(part, str) and 0 <= share <= 1 for part, share in said.items()), (
            f"{case}: history {name!r}: expected shares from 0 to 1 by name, got {said}"
        )
        assert not said or abs(sum(said.values()) - 1) < 1e-6, (
            f"{case}: history {name!r}: expected shares that add up to 1, got {sum(said.values())}"
        )
        assert said == explained(case.make(), history), f"{case}: history {name!r}: explains itself in two ways"
        assert repr(history.trials) == before, f"{case}: history {name!r}: explaining changed its trials"


def proposals(case: Case) -> list[str]:
    """A few proposals for every history, as JSON."""
    known = _histories(case)
    return [_propose(case, known[name], seed, name).to_json() for name in sorted(known) for seed in range(SEEDS)]


def _propose(case: Case, history: History, seed: int, name: str) -> Architecture:
    try:
        made: Any = case.make().propose(history, random.Random(seed))
    except Exception as error:
        raise AssertionError(f"{case}: history {name!r}: propose raises {type(error).__name__}: {error}") from error
    assert isinstance(made, Architecture), f"{case}: history {name!r}: proposes a {type(made).__name__}"
    return made


def _running(history: History, made: Architecture) -> History:
    """The history in which that proposal runs."""
    trial = Trial(len(history.trials), "running", made, made.digest, source="toy")
    return replace(history, trials=[*history.trials, trial])


def _histories(case: Case) -> dict[str, History]:
    """Those of the spaces and objectives that the strategy says it can work with."""
    strategy = case.make()
    return {name: history for name, history in _all_histories().items() if _refusal(strategy, history) is None}


def _refusal(strategy: Any, history: History) -> Exception | None:
    try:
        check_strategy(strategy, history.space, history.objectives)
    except Exception as error:
        return error
    return None


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
    check_refuses_in_a_sentence,
    check_explains_itself_in_shares,
)
