"""Small spaces of blocks without weights or torch, and histories of them: what strategies are tried on."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from nas.controller.history import Direction, History, Limit, Objective, State, Strategy, Trial
from nas.controller.propose import Proposal, Proposer
from nas.space.architecture import Architecture
from nas.space.graph import Choice, Element, Signature, Traits, chain, choice, dense_cell, graph, repeat, subset
from nas.space.space import Space

ZERO = Signature("toy_zero", traits=Traits("zero"))
SKIP = Signature("toy_skip", traits=Traits("identity"))
ADD = Signature("toy_add", ("any", "*"), traits=Traits("sum"))
JOIN = Signature("toy_join", ("any", "*"), traits=Traits("symmetric"))
CONV = Signature("toy_conv", ("image",), parameters={"kernel": 3, "width": None}, traits=Traits(keeps_zero=True))
POOL = Signature("toy_pool", ("image",), traits=Traits(keeps_zero=True))
HEAD = Signature("toy_head", ("image",), "vector")


def cell_space() -> Space:
    """A NAS-Bench-201-like cell in three stages: 15,625 architectures, all decisions always open."""

    def edge(i: int, j: int) -> Choice:
        return choice(f"edge{i}{j}", none=ZERO(), skip=SKIP(), conv1=CONV(kernel=1), conv3=CONV(), pool=POOL())

    cell = dense_cell(4, edge, ADD())
    return Space(chain(stem=CONV(width=16), stages=repeat(cell, 3), head=HEAD()), inputs=["image"], name="toy_cell")


def conditional_space() -> Space:
    """Decisions inside options, tied and untied repeats, a choice of inputs: 4,368 architectures."""
    kernel = choice("kernel", 1, 3, 5)
    deep: Element = repeat(CONV(kernel=kernel), choice("depth", 1, 2, 3), name="layer")
    branch = chain(conv=CONV(kernel=kernel), gate=choice("gate", on=CONV(kernel=1), off=SKIP()))
    body = choice("body", deep=deep, branch=branch, pool=POOL())
    split = repeat(choice("op", filter=CONV(), skip=SKIP()), 2, tied=False)
    nodes: dict[str, tuple[Element, object]] = {
        "stem": (CONV(width=choice("width", 8, 16)), "x"),
        "a": (body, "stem"),
        "b": (split, "stem"),
        "c": (choice("last", filter=CONV(kernel=kernel), pool=POOL()), subset("last_in", ("stem", "a", "b"), 1)),
        "d": (ADD(), ("a", "b", "c")),
        "head": (HEAD(), "d"),
    }
    return Space(graph(["x"], nodes, "head"), inputs=["image"], name="toy_conditional")


def history(
    space: Space, states: list[State], *, direction: Direction = "maximize", value: float | None = None, seed: int = 0
) -> History:
    """One random trial a state, valued by `worth` or all with `value`; the budget is twice as many, at least 20."""
    rng = random.Random(seed)
    trials = []
    for number, state in enumerate(states):
        trial = Trial(number, state, made := space.sample(rng), made.digest, source="toy")
        if state in ("complete", "stopped"):
            worthy = worth(made) if value is None else value
            trial = replace(trial, values=(worthy,), metrics={"toy": worthy}, curve=({"toy": worthy},), seconds=1.0)
        elif state in ("failed", "refused"):
            trial = replace(trial, reason="a toy's reason")
        trials.append(trial)
    return History(space, (Objective("toy", "toy", direction),), trials, max(20, 2 * len(states)))


def histories(space: Space) -> dict[str, History]:
    """Every kind of history a strategy may meet."""
    mixed: list[State] = ["complete", "failed", "running", "complete", "refused", "stopped", "complete"]
    made = {
        "empty": history(space, []),
        "all running": history(space, ["running"] * 4),
        "all failed": history(space, ["failed"] * 30),
        "all refused": history(space, ["refused"] * 30),
        "all stopped": history(space, ["stopped"] * 30),
        "all NaN": history(space, ["complete"] * 30, value=math.nan),
        "all infinite": history(space, ["complete"] * 30, value=math.inf),
        "all equal": history(space, ["complete"] * 30, value=0.5),
        "one complete": history(space, ["complete"]),
        "thirty complete": history(space, ["complete"] * 30),
        "minimized": history(space, ["complete"] * 30, direction="minimize"),
        "mixed": history(space, mixed * 6),
    }
    made["no budget"] = replace(made["mixed"], budget=None)
    made["spent budget"] = replace(made["mixed"], budget=1)
    made["two objectives"] = with_cost(made["thirty complete"])
    made["two objectives, mixed"] = with_cost(made["mixed"])
    made["limited"] = replace(made["mixed"], measure=cost, limits=(Limit("cost", 3.0),))
    made["a limit that nothing meets"] = replace(made["mixed"], measure=cost, limits=(Limit("cost", -1.0),))
    return made


def searched(strategy: Strategy, space: Space, trials: int, *, seed: int = 0, base: History | None = None) -> History:
    """What a search of so many trials leaves, one after the other, each with its `worth` as its value."""
    past = base or replace(history(space, []), budget=trials)
    proposer = Proposer(space, ("toy", strategy), seed, (trial.digest for trial in past.trials))
    for number in range(len(past.trials), trials):
        found = proposer.propose(past)
        if not isinstance(found, Proposal):
            break
        made, values = found.architecture, (worth(found.architecture), cost(found.architecture)["cost"])
        ended = Trial(number, "complete", made, made.digest, values[: len(past.objectives)], source=found.source)
        past = replace(past, trials=[*past.trials, ended])
    return past


def with_cost(history: History) -> History:
    """The same with a second objective, a small `cost`."""
    trials = [
        replace(trial, values=(*trial.values, cost(trial.architecture)["cost"])) if trial.values else trial
        for trial in history.trials
    ]
    return replace(history, trials=trials, objectives=(*history.objectives, Objective("cost", "cost", "minimize")))


def cost(made: Architecture) -> dict[str, float]:
    """What is known before training: how many decisions took a filter, which is at odds with `worth`."""
    return {"cost": float(sum(option in ("conv1", "conv3", "deep", "filter") for option in made.decisions.values()))}


def worth(made: Architecture) -> float:
    """A value in 0..1 that mutation can climb: the share of decisions that took their last option."""
    options = list(made.decisions.values())
    return sum(option in ("conv3", "pool", 5, "filter", 16) for option in options) / max(len(options), 1)
