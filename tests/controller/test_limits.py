"""Limits: written, kept to, and shown to be ones that something meets."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from nas.controller.controller import Controller
from nas.controller.history import Limit
from nas.controller.job import Done, Job
from nas.controller.limits import REDRAWS, STEPS, check_meetable, excess, fits, parse_limit, within
from nas.errors import CandidateError, ConfigError, SpaceError
from nas.space.architecture import Architecture
from nas.space.space import Space
from nas.testing import toys

CELLS = toys.cell_space()


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("params<=1e6", Limit("params", 1e6)),
        ("flops<=50M", Limit("flops", 50e6)),
        (" latency_ms <= 2.5 ", Limit("latency_ms", 2.5)),
        ("memory_mb<=500", Limit("memory_mb", 500.0)),
        ("params>=10k", Limit("params", 1e4, least=True)),
        ("flops<=1.5G", Limit("flops", 1.5e9)),
        ("flops<=1_000", Limit("flops", 1000.0)),
    ],
)
def test_a_limit_is_a_quantity_and_a_bound(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit
    assert parse_limit(str(limit)) == limit


@pytest.mark.parametrize(
    "text",
    [
        "params",
        "params<1e6",
        "params=1e6",
        "params<=",
        "params<=x",
        "params<=1m",
        "params<=inf",
        "<=3",
        "",
        "params<=1e999",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a limit like 'params<=1e6' or 'flops<=50M', got"):
        parse_limit(text)


def test_an_unknown_quantity_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown quantity of a limit 'parameters'; did you mean 'params'"):
        parse_limit("parameters<=1e6")


def test_the_excess_is_relative_and_adds_up() -> None:
    limits = (Limit("a", 10.0), Limit("b", 4.0, least=True))
    assert excess(limits, {"a": 10.0, "b": 4.0}) == 0.0
    assert excess(limits, {"a": 15.0, "b": 2.0}) == 1.0
    assert excess(limits, {"a": 1.0}) == excess(limits, {"a": math.nan, "b": 5.0}) == math.inf


def test_proposals_are_mended_where_drawing_alone_finds_nothing() -> None:
    past = replace(toys.history(CELLS, []), measure=toys.cost, limits=(Limit("cost", 0.0),))
    share = sum(fits(past, CELLS.sample(random.Random(seed))) for seed in range(500)) / 500
    assert share < 0.1
    kept = []
    for rng in map(random.Random, range(30)):
        kept.append(within(past, partial(CELLS.sample, rng), rng))
    assert sum(fits(past, made) for made in kept) >= 28
    assert len({made.digest for made in kept}) > 5


def test_what_cannot_be_mended_costs_a_bounded_number_of_measurements() -> None:
    seen: list[Architecture] = []
    past = replace(
        toys.history(CELLS, []), measure=lambda a: (seen.append(a), {"cost": 1.0})[1], limits=(Limit("cost", 0.0),)
    )
    rng = random.Random(0)
    within(past, lambda: CELLS.sample(rng), rng)
    assert len(seen) == REDRAWS + STEPS
    assert within(replace(past, limits=()), lambda: CELLS.reference, rng) == CELLS.reference
    assert len(seen) == REDRAWS + STEPS, "nothing is measured where there is no limit"


def test_a_limit_that_something_meets_is_found_to_be_one() -> None:
    for bound in (6.0, 3.0, 0.0):
        check_meetable(CELLS, [Limit("cost", bound)], toys.cost, random.Random(0))


def test_a_limit_that_nothing_meets_says_what_is_the_smallest() -> None:
    with pytest.raises(ConfigError) as caught:
        check_meetable(CELLS, [Limit("cost", -1.0)], toys.cost, random.Random(0))
    assert "expected cost<=-1 to leave something of space 'toy_cell'" in str(caught.value)
    assert "the smallest cost 0 was seen" in str(caught.value)
    with pytest.raises(ConfigError, match=r"cost<=1 and cost>=9 .*the smallest cost 0 and the largest cost [56] was"):
        check_meetable(CELLS, [Limit("cost", 1.0), Limit("cost", 9.0, least=True)], toys.cost, random.Random(0))


def test_a_space_of_which_nothing_can_be_built_says_so() -> None:
    def refuse(_: Architecture) -> dict[str, float]:
        raise CandidateError("never")

    with pytest.raises(ConfigError, match="none of 160 architectures of space 'toy_cell' can be built"):
        check_meetable(CELLS, [Limit("cost", 1.0)], refuse, random.Random(0))


def sizes(architecture: Architecture) -> dict[str, float]:
    last = architecture.decisions["last"]
    return {"size": float(last) if isinstance(last, int) else 100.0}


def run_out(search: Controller) -> None:
    """Asks until there is nothing more, with nothing ever accepted."""
    while not isinstance(answer := search.next(), Done):
        assert not isinstance(answer, Job)


def test_what_breaks_a_limit_is_refused_with_its_costs_and_never_run(
    controller: Callable[..., Controller], space: Space
) -> None:
    search = controller(check=sizes, limits=[Limit("size", 1.0)])
    while not isinstance(answer := search.next(), Done):
        if isinstance(answer, Job):
            assert sizes(answer.architecture)["size"] <= 1
            search.report(answer.number, {"epoch": 1, "score": 1.0})
            search.finish(answer.number, "complete")
    trials = search.history.trials
    refused = [trial for trial in trials if trial.state == "refused"]
    assert {trial.reason for trial in refused} == {"it breaks the limit size<=1"}
    assert all(trial.metrics["size"] > 1 for trial in refused)
    assert {t.digest for t in trials if t.state == "complete"} == {
        each.digest for each in space.enumerate() if sizes(each)["size"] <= 1
    }
    assert search.history.limits == (Limit("size", 1.0),)
    assert not search.history.allowed(refused[0].architecture)


def test_a_limit_of_the_machine_is_told_to_strategies_when_it_was_broken(controller: Callable[..., Controller]) -> None:
    search = controller(check=sizes)
    bound, told = Limit("size", 1.0), []
    search.restrict(bound)
    while not isinstance(answer := search.next(), Done):
        told.append((search.history.limits, sum(trial.state == "refused" for trial in search.history.trials)))
        if isinstance(answer, Job):
            assert sizes(answer.architecture)["size"] <= 1
            search.report(answer.number, {"epoch": 1, "score": 1.0})
            search.finish(answer.number, "complete")
    assert {limits for limits, refused in told if refused} == {(bound,)}
    assert {limits for limits, refused in told if not refused} <= {()}
    assert not search.history.allowed(next(t.architecture for t in search.history.trials if t.state == "refused"))


def test_a_limit_that_every_candidate_breaks_ends_the_search(controller: Callable[..., Controller]) -> None:
    search = controller(check=sizes, limits=[Limit("size", -1.0)])
    with pytest.raises(SpaceError, match="because it breaks the limit size<=-1"):
        run_out(search)
