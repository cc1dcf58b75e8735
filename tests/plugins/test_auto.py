"""The model-guided strategy: what its model predicts, what it makes of trials, and what it proposes."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from nas.controller.front import front_of
from nas.controller.history import History, Limit, Objective, Score, Strategy, Trial
from nas.controller.propose import Proposal, Proposer
from nas.errors import CandidateError, ConfigError
from nas.space.architecture import Architecture
from nas.testing import toys
from nas_plugins.model_guided.aim import make_aim
from nas_plugins.model_guided.features import Encoder, normal_ranks
from nas_plugins.model_guided.gaussian_process import GaussianProcess, Inputs
from nas_plugins.model_guided.observed import observe
from nas_plugins.model_guided.strategy import START, auto

SPACE = toys.cell_space()


def inputs(seed: int, size: int) -> Inputs:
    rng = np.random.default_rng(seed)
    return Inputs((csr_array(rng.normal(size=(size, 4)) / 2),), rng.normal(size=(size, 2)))


def trained(count: int, *, seed: int = 0) -> History:
    return toys.history(SPACE, ["complete"] * count, seed=seed)


def test_a_model_knows_what_it_was_told_and_doubts_what_it_was_not() -> None:
    told = inputs(0, 30)
    targets = np.sin(2 * told.groups[0].toarray()[:, 0])
    model = GaussianProcess(told, targets, np.ones(30))
    mean, deviation = model.predict(told)
    assert np.abs(mean - targets).mean() < 0.1
    far = Inputs((csr_array(np.full((1, 4), 50.0)),), np.zeros((1, 2)))
    (away,), (doubt,) = model.predict(far)
    assert away == pytest.approx(targets.mean())
    assert doubt > 2 * deviation.mean()


def test_a_model_predicts_what_lies_between() -> None:
    told, asked = inputs(0, 60), inputs(1, 60)
    model = GaussianProcess(told, normal_ranks(told.groups[0].toarray()[:, 0] + told.lines[:, 0]), np.ones(60))
    mean, _ = model.predict(asked)
    assert np.corrcoef(mean, asked.groups[0].toarray()[:, 0] + asked.lines[:, 0])[0, 1] > 0.9


def test_a_line_that_explains_nothing_loses_its_weight() -> None:
    told = inputs(0, 60)
    model = GaussianProcess(told, normal_ranks(told.lines[:, 0]), np.ones(60))
    _, useful, useless = model.shares
    assert useful > 30 * useless


def test_what_is_trusted_less_moves_the_model_less() -> None:
    told = inputs(0, 21)
    targets = np.zeros(21)
    targets[20] = 3.0
    means = []
    for trust in (1.0, 0.1):
        model = GaussianProcess(told, targets, np.array([1.0] * 20 + [trust]))
        means.append(model.predict(told[[20]])[0][0])
    assert means[0] > means[1] > 0


def test_normal_ranks_are_blind_to_scale_and_outliers() -> None:
    assert normal_ranks([1.0, 2.0, 1e9]) == pytest.approx(normal_ranks([-5.0, 0.0, 0.1]))
    assert normal_ranks([7.0, 7.0, 7.0]) == pytest.approx([0.0, 0.0, 0.0])


def curve(*values: float) -> tuple[Mapping[str, float], ...]:
    return tuple({"toy": value} for value in values)


def test_a_stopped_trial_is_taken_for_what_others_became_from_there() -> None:
    past = trained(4)
    ends = [(0.1, 0.5), (0.2, 0.6), (0.3, 0.7), (0.4, 0.8)]
    trials = [replace(t, curve=curve(*c), values=(c[-1],)) for t, c in zip(past.trials, ends, strict=True)]
    made = SPACE.sample(random.Random(9))
    stopped = Trial(4, "stopped", made, made.digest, values=(0.25,), curve=curve(0.25))
    found = observe(replace(past, trials=[*trials, stopped]))
    assert [t.number for t in found.trials] == [0, 1, 2, 3, 4]
    assert found.values[:, 0] == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.65])
    assert found.trust == pytest.approx([1, 1, 1, 1, 0.5])


def test_a_stopped_trial_says_nothing_while_no_other_has_gone_on() -> None:
    past = toys.history(SPACE, ["complete", "stopped", "failed", "running"])
    assert [t.number for t in observe(past).trials] == [0]


def test_minimized_values_are_turned() -> None:
    past = toys.history(SPACE, ["complete"] * 3, direction="minimize")
    assert observe(past).values[:, 0] == pytest.approx([-t.values[0] for t in past.complete if t.values])


def test_several_objectives_are_weighed_anew_each_time_and_the_front_is_worth_most() -> None:
    angles = np.linspace(0, np.pi / 2, 12)
    values = np.concatenate([np.stack([np.cos(angles), np.sin(angles)], axis=1), np.full((5, 2), 0.3)])
    firsts = {int(make_aim(values, random.Random(seed)).worth.argmax()) for seed in range(40)}
    assert len(firsts) > 2
    assert firsts <= set(front_of((-values).tolist()))


def test_what_lies_beyond_the_front_is_an_improvement_and_what_it_dominates_is_none() -> None:
    values = np.array([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0], [0.1, 0.1]])
    for seed in range(20):
        aim = make_aim(values, random.Random(seed))
        assert aim.targets[0] == pytest.approx(values[:, 0])
        beyond, dominated = aim.improvement(
            [np.array([1.1, 0.2]), np.array([1.1, 0.2])], [np.full(2, 1e-6), np.full(2, 1e-6)]
        )
        assert beyond > 0
        assert dominated == 0


def test_how_bad_a_bad_one_is_does_not_matter() -> None:
    values = np.array([[0.0, 1.0], [1.0, 0.0], [-2.0, -2.0]])
    worse = values.copy()
    worse[2] = -1e9
    one, other = (make_aim(v, random.Random(0)).targets for v in (values, worse))
    assert np.array_equal(one, other)


def test_it_finds_the_best_of_a_space_in_a_fraction_of_it() -> None:
    found = []
    for seed in range(5):
        proposer, trials = Proposer(SPACE, ("auto", auto()), seed), list[Trial]()
        for number in range(25):
            answer = proposer.propose(History(SPACE, (Objective("toy", "toy", "maximize"),), trials, 25))
            assert isinstance(answer, Proposal)
            value = toys.worth(answer.architecture)
            trials.append(Trial(number, "complete", answer.architecture, answer.architecture.digest, values=(value,)))
        found.append(max(t.values[0] for t in trials if t.values))
    assert np.mean(found) > 0.9


def test_parallel_proposals_differ_though_nothing_has_come_in() -> None:
    past, met = trained(10), set[str]()
    for number in range(10, 16):
        made = auto().propose(past, random.Random(1))
        assert isinstance(made, Architecture)
        met.add(made.digest)
        past = replace(past, trials=[*past.trials, Trial(number, "running", made, made.digest)])
    assert len(met) == 6


def test_what_cannot_be_built_or_breaks_a_limit_is_not_proposed() -> None:
    def measure(made: Architecture) -> Mapping[str, float]:
        if "conv3" in made.decisions.values():
            raise CandidateError("no")
        return {"params": float(len(set(made.decisions.values())))}

    past = replace(trained(12), measure=measure, limits=(Limit("params", 2),))
    for seed in range(10):
        for given in (past, replace(past, trials=past.trials[:2])):
            made = auto().propose(given, random.Random(seed))
            assert isinstance(made, Architecture)
            assert "conv3" not in made.decisions.values()
            assert len(set(made.decisions.values())) <= 2


def test_it_asks_for_scores_where_there_are_any_and_uses_them() -> None:
    past = replace(trained(0), proxies=("worth",))
    wish = auto().propose(past, random.Random(0))
    assert isinstance(wish, Score)
    scores = {a.digest: {"worth": toys.worth(a)} for a in wish.architectures}
    made = auto().propose(replace(past, scores=scores), random.Random(0))
    assert isinstance(made, Architecture)
    assert toys.worth(made) >= np.quantile([s["worth"] for s in scores.values()], 0.75)


def test_scores_that_are_not_finite_break_nothing() -> None:
    past = replace(trained(START + 4), proxies=("odd", "other"))
    known = {t.digest: {"odd": math.nan, "other": math.inf} for t in past.trials}
    for number in (0, START + 4):
        given = replace(past, trials=past.trials[:number], scores=known)
        answer = auto().propose(given, random.Random(0))
        while isinstance(answer, Score):
            odd = [math.nan, -math.inf, 1.0]
            known |= {a.digest: {"odd": odd[i % 3], "other": math.inf} for i, a in enumerate(answer.architectures)}
            answer = auto().propose(replace(given, scores=known), random.Random(0))
        assert isinstance(answer, Architecture)


def test_features_of_an_architecture_do_not_depend_on_what_was_encoded_before() -> None:
    past, rng = trained(5), random.Random(4)
    some = [SPACE.sample(rng) for _ in range(20)]
    used = Encoder()
    used.encode(past, [SPACE.sample(rng) for _ in range(50)])
    fresh, again = Encoder().encode(past, some), used.encode(past, some)
    for one, other in zip(fresh.groups, again.groups, strict=True):
        assert np.array_equal(one.toarray(), other.toarray())
    assert np.array_equal(fresh.lines, again.lines)


@pytest.mark.parametrize("start", [1, 0, -3, 2.5, True, "many"])
def test_a_start_that_is_no_number_of_trials(start: object) -> None:
    with pytest.raises(ConfigError, match="expected start to be an integer of at least 2"):
        auto(start=start)  # type: ignore[arg-type]


def test_what_is_switched_off_is_off() -> None:
    past = trained(20)
    random_start = auto(chosen=False).propose(trained(0), random.Random(5))
    assert random_start == SPACE.sample(random.Random(5))
    best = past.best
    assert best is not None
    bred = auto(model=False).propose(past, random.Random(0))
    assert isinstance(bred, Architecture)
    assert 1 <= sum(bred.decisions[e] != best.architecture.decisions[e] for e in bred.decisions) <= 4
    with pytest.raises(ConfigError, match="expected model to be true or false, got 'maybe'"):
        auto(model="maybe")  # type: ignore[arg-type]


def test_auto_says_what_its_model_goes_by_and_what_lost_its_weight() -> None:
    history = trained(40)
    drawn = random.Random(3)
    scores = {t.digest: {"telling": drawn.random(), "idle": drawn.random()} for t in history.trials}
    trials = [replace(t, values=(scores[t.digest]["telling"],)) for t in history.trials]
    said = auto().explain(replace(history, trials=trials, scores=scores))  # type: ignore[attr-defined]
    assert sum(said.values()) == pytest.approx(1)
    assert said["telling (score)"] > 0.3
    assert said["idle (score)"] < said["telling (score)"] / 3
    assert {"chains", "decisions"} <= said.keys()


@pytest.mark.parametrize(("strategy", "count"), [(auto(), START - 1), (auto(model=False), 40)])
def test_without_a_fitted_model_auto_explains_nothing(strategy: Strategy, count: int) -> None:
    assert strategy.explain(trained(count)) == {}  # type: ignore[attr-defined]
