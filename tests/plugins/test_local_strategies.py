"""Local search, successive mutation and the grid: what they try next is read off the history."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from statistics import mean

import pytest

from nas.controller.history import History, Limit, State, Trial, check_strategy
from nas.errors import ConfigError
from nas.space.architecture import Architecture
from nas.space.graph import chain, choice
from nas.space.space import Space
from nas.testing import toys
from nas_plugins.bananas import bananas
from nas_plugins.grid import grid
from nas_plugins.local_search import local_search
from nas_plugins.mutation import mutation
from nas_plugins.random_search import random_search

SPACE = toys.cell_space()


def distance(one: Architecture, other: Architecture) -> int:
    return sum(one.decisions[label] != other.decisions[label] for label in one.decisions)


def past(made: Iterable[tuple[Architecture, float | State]]) -> History:
    """A trial an architecture: complete with a value, or in another state."""
    trials = []
    for number, (each, said) in enumerate(made):
        state: State = said if isinstance(said, str) else "complete"
        values = None if isinstance(said, str) else (said,)
        trials.append(Trial(number, state, each, each.digest, values))
    return replace(toys.history(SPACE, []), trials=trials)


def start_with_networks_around() -> tuple[Architecture, list[Architecture]]:
    """An architecture and its neighbours, one a network."""
    start = SPACE.architecture({d.label: "conv1" for d in SPACE.decisions})
    return start, list({each.digest: each for each in SPACE.neighbours(start)}.values())


def test_local_search_tries_every_neighbour_of_the_start_and_moves_to_the_best() -> None:
    found = toys.searched(local_search(), SPACE, 60).trials
    start = found[0].architecture
    around = {each.digest for each in SPACE.neighbours(start)}
    seen = {trial.digest for trial in found[1 : 1 + len(around)]}
    assert seen == around
    highest = max(trial.values or () for trial in found[: 1 + len(around)])
    best = [trial.architecture for trial in found[: 1 + len(around)] if trial.values == highest]
    later = [trial.architecture for trial in found[1 + len(around) :][:6]]
    assert any(all(distance(each, made) == 1 for made in later) for each in best)


def test_local_search_climbs_to_the_optimum_and_starts_anew_there() -> None:
    found = toys.searched(local_search(), SPACE, 260)
    assert found.best is not None
    assert found.best.values == (1.0,)
    top = found.best.number
    later = [trial for trial in found.trials[top:] if distance(found.best.architecture, trial.architecture) > 2]
    assert later, "no new start"


def test_at_a_local_optimum_the_start_is_random() -> None:
    start, around = start_with_networks_around()
    history = past([(start, 1.0), *((each, 0.5) for each in around)])
    far = [distance(start, local_search().propose(history, random.Random(seed))) for seed in range(20)]
    assert mean(far) > 3


@pytest.mark.parametrize("state", ["running", "failed", "refused", "stopped"])
def test_local_search_waits_for_nothing(state: State) -> None:
    start, around = start_with_networks_around()
    better, *rest = around
    history = past([(start, 0.1), (better, 0.2), *((each, state) for each in rest)])
    proposals = [local_search().propose(history, random.Random(seed)) for seed in range(5)]
    assert all(distance(better, made) == 1 for made in proposals)
    assert not {made.digest for made in proposals} & {trial.digest for trial in history.trials}


def test_local_search_can_move_to_the_first_that_is_better() -> None:
    start, (better, *_) = start_with_networks_around()
    history = past([(start, 0.1), (better, 0.2)])
    made = {local_search(first=True).propose(history, random.Random(seed)) for seed in range(40)}
    assert all(distance(better, each) == 1 for each in made)
    made = {local_search().propose(history, random.Random(seed)) for seed in range(40)}
    assert all(distance(start, each) == 1 for each in made)


def test_mutation_mutates_the_best_mostly_in_one_place() -> None:
    history = toys.history(SPACE, ["complete"] * 20)
    assert history.best is not None
    made = [mutation().propose(history, random.Random(seed)) for seed in range(300)]
    counts = Counter(distance(history.best.architecture, each) for each in made)
    assert counts.most_common(1)[0][0] == 1
    assert counts[0] < 15, "changed and changed back"
    assert sum(count for changes, count in counts.items() if changes > 1) > 30


def small() -> Space:
    """48 assignments, two of the options one network."""
    op = {"one": toys.CONV(kernel=1), "same": toys.CONV(kernel=1), "two": toys.CONV(kernel=3), "pool": toys.POOL()}
    ops = {name: choice(name, **op) for name in ("a", "b")}
    return Space(chain(**ops, last=toys.CONV(width=choice("width", 1, 2, 3))), inputs=["image"], name="small")


def test_the_grid_tries_every_network_once() -> None:
    space = small()
    found = toys.searched(grid(), space, 1000)
    assert {trial.source for trial in found.trials} == {"toy"}
    assert Counter(trial.digest for trial in found.trials) == Counter({each.digest for each in space.enumerate()})
    assert [t.digest for t in found.trials] != [t.digest for t in toys.searched(grid(), space, 1000, seed=1).trials]


def test_the_grid_refuses_a_large_space() -> None:
    with pytest.raises(ConfigError, match=r"at most 10 architectures, got 'small' with 48; .*grid:largest=48"):
        check_strategy(grid(largest=10), small(), ())
    check_strategy(grid(), small(), ())


def test_bananas_finds_better_ones_than_chance() -> None:
    seeds = range(4)
    ours = [toys.searched(bananas(), SPACE, 50, seed=seed).best for seed in seeds]
    theirs = [toys.searched(random_search(), SPACE, 50, seed=seed).best for seed in seeds]
    assert mean(t.values[0] for t in ours if t and t.values) > mean(t.values[0] for t in theirs if t and t.values) + 0.1


def test_bananas_is_random_at_first_and_never_repeats() -> None:
    few = toys.history(SPACE, ["complete"] * 5)
    assert bananas().propose(few, random.Random(4)) == SPACE.sample(random.Random(4))
    many = toys.history(SPACE, ["complete"] * 30)
    known = {trial.digest for trial in many.trials}
    assert all(bananas().propose(many, random.Random(seed)).digest not in known for seed in range(10))
    with pytest.raises(ConfigError, match="expected start to be an integer of at least 2, got 1"):
        bananas(start=1)


@pytest.mark.parametrize(
    "strategy", [local_search(), mutation(), grid(), bananas()], ids=lambda strategy: type(strategy).__name__
)
def test_proposals_keep_to_limits(strategy: object) -> None:
    history = replace(toys.history(SPACE, ["complete"] * 30), measure=toys.cost, limits=(Limit("cost", 1.0),))
    made = [strategy.propose(history, random.Random(seed)) for seed in range(20)]  # type: ignore[attr-defined]
    assert mean(history.allowed(each) for each in made) > 0.9
