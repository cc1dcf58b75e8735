"""Optuna's samplers as strategies: found by name, told the whole history, refused where they would draw at random."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import mean

import optuna
import pytest

from nas.controller.history import History, Objective, Trial, check_strategy
from nas.errors import ConfigError
from nas.plugin.build import build_strategy
from nas.plugin.manager import create_manager
from nas.space.graph import chain, choice
from nas.space.space import Space
from nas.testing import toys
from nas_plugins.optuna_samplers.strategy import OptunaSampler

SPACE = toys.cell_space()
TWO = (Objective("toy", "toy", "maximize"), Objective("cost", "cost", "minimize"))


def made(text: str) -> OptunaSampler:
    strategy = build_strategy(create_manager().registry, text)
    assert isinstance(strategy, OptunaSampler)
    return strategy


def numbers() -> Space:
    """Rising numbers only; `peak` is highest in the middle of each."""
    widths = {name: toys.CONV(width=choice(name, *range(1, 18))) for name in ("a", "b", "c")}
    return Space(chain(**widths), inputs=["image"], name="numbers")


def peaks(text: str, trials: int, seed: int) -> list[float]:
    """The values of a search of so many trials, one after the other."""
    strategy, past = made(text), replace(toys.history(numbers(), []), budget=trials)
    for number in range(trials):
        one = strategy.propose(past, random.Random(f"{seed}:{number}"))
        peak = -float(sum(abs(int(value) - 9) for value in one.decisions.values()))  # type: ignore[arg-type]
        past = replace(past, trials=[*past.trials, Trial(number, "complete", one, one.digest, (peak,))])
    return [trial.values[0] for trial in past.trials if trial.values]


@pytest.mark.parametrize(
    ("text", "sampler"),
    [
        ("optuna", "TPESampler"),
        ("optuna:tpe", "TPESampler"),
        ("optuna:TPESampler", "TPESampler"),
        ("optuna:sampler=gp", "GPSampler"),
        ("optuna:NSGAIIISampler", "NSGAIIISampler"),
        ("optuna:brute_force", "BruteForceSampler"),
        ("optuna:CmaEsSampler", "CmaEsSampler"),
    ],
)
def test_a_sampler_is_found_by_its_name(text: str, sampler: str) -> None:
    assert made(text).sampler.__name__ == sampler


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optuna:tpee", "unknown sampler of Optuna 'tpee'; did you mean 'tpe'? known: bruteforce, cmaes, gp, nsgaii"),
        ("optuna:grid", "unknown sampler of Optuna 'grid'"),
        ("optuna:base", "unknown sampler of Optuna 'base'"),
        (
            "optuna:nsgaii,population=3",
            "unknown option of sampler NSGAIISampler 'population'; did you mean",
        ),
        ("optuna:tpe,seed=3", "unknown option of sampler TPESampler 'seed'"),
        ("optuna:nsgaii,population_size=1", "sampler NSGAIISampler of Optuna cannot be made: "),
        ("optuna:tpe,sampler=gp", "strategy 'optuna': expected option 'sampler' once, got 'tpe' beside it"),
        ("random:3", "strategy 'random' takes no options, got 3"),
    ],
)
def test_what_is_no_sampler_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_strategy(create_manager().registry, text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "space", "objectives", "expected"),
    [
        (
            "optuna:cmaes",
            SPACE,
            TWO[:1],
            "takes numbers only, but decision 'edge01' of space 'toy_cell' is between",
        ),
        ("optuna:cmaes", numbers(), TWO, "sampler CmaEsSampler of Optuna takes one objective, got 2"),
        ("optuna:gp", toys.conditional_space(), TWO, "takes decisions that are always open, but 'depth' of space"),
        ("optuna:qmc", toys.conditional_space(), TWO, "takes decisions that are always open, but 'depth' of space"),
    ],
)
def test_a_sampler_that_cannot_take_the_space_says_so(
    text: str, space: Space, objectives: tuple[Objective, ...], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_strategy(made(text), space, objectives)
    assert expected in str(caught.value)


@pytest.mark.parametrize("space", [SPACE, toys.conditional_space(), numbers()], ids=lambda space: space.name)
@pytest.mark.parametrize("text", ["tpe", "tpe,multivariate=true", "random", "nsgaii", "nsgaiii", "bruteforce", "qmc"])
def test_a_sampler_proposes_what_was_never_tried(text: str, space: Space) -> None:
    strategy = made(f"optuna:{text}")
    if text == "qmc" and space.name == "toy_conditional":
        return
    for objectives in (TWO[:1], TWO):
        base = replace(toys.history(space, []), objectives=objectives, budget=30)
        check_strategy(strategy, space, objectives)
        found = toys.searched(strategy, space, 30, base=base)
        assert len(found.trials) == 30
        assert {trial.source for trial in found.trials} == {"toy"}


def test_tpe_learns_from_the_history() -> None:
    ours = [toys.searched(made("optuna:tpe"), SPACE, 40, seed=seed).trials[-15:] for seed in range(3)]
    chance = [toys.searched(made("optuna:random"), SPACE, 40, seed=seed).trials[-15:] for seed in range(3)]
    one, other = (mean(t.values[0] for late in group for t in late if t.values) for group in (ours, chance))
    assert one > other + 0.15


@pytest.mark.parametrize("text", ["optuna:cmaes", "optuna:nsgaii,population_size=8"])
def test_samplers_that_keep_a_state_climb_without_it(text: str) -> None:
    ours, chance = (mean(mean(peaks(each, 60, seed)[-10:]) for seed in range(2)) for each in (text, "optuna:random"))
    assert ours > chance + 3


def test_gp_climbs() -> None:
    found = peaks("optuna:gp,n_startup_trials=8", 16, 0)
    assert max(found[8:]) > max(found[:8]) + 3


def test_brute_force_tries_every_assignment() -> None:
    space = Space(chain(a=toys.CONV(width=choice("a", 1, 2, 3), kernel=choice("k", 1, 3))), inputs=["image"])
    found = toys.searched(made("optuna:bruteforce"), space, 100)
    assert len(found.trials) == 6
    assert {trial.source for trial in found.trials} == {"toy"}


def test_qmc_spreads_more_evenly_than_chance() -> None:
    """Of 17 widths each is met about as often as any other."""

    def unevenness(text: str) -> float:
        past = toys.searched(made(text), numbers(), 60)
        counts = [sum(t.architecture.decisions["a"] == width for t in past.trials) for width in range(1, 18)]
        return mean((count - mean(counts)) ** 2 for count in counts)

    assert unevenness("optuna:qmc") < 0.6 * unevenness("optuna:random")


def test_running_and_stopped_trials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[optuna.trial.FrozenTrial] = []
    add = optuna.Study.add_trials
    monkeypatch.setattr(optuna.Study, "add_trials", lambda self, trials: (told.extend(trials), add(self, trials))[1])
    past: History = toys.history(toys.conditional_space(), ["complete", "running", "stopped", "failed"])
    made("optuna:tpe").propose(past, random.Random(0))
    assert [trial.state.name for trial in told] == ["COMPLETE", "RUNNING", "PRUNED", "FAIL"]
    assert told[2].intermediate_values == {1: past.trials[2].values[0]}  # type: ignore[index]
    for frozen, trial in zip(told, past.trials, strict=True):
        assert set(frozen.params) == set(trial.architecture.decisions), "what is open, and nothing else"
