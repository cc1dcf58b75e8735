"""Limits on what is known of a candidate before it is trained: read, kept to by proposals, shown to be meetable."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from nas.controller.history import History, Limit, Measure
from nas.errors import CandidateError, ConfigError, UnknownNameError
from nas.space.architecture import Architecture
from nas.space.space import Space

MEMORY = "memory_mb"
"""Millions of bytes that a trial is foretold to take at its peak."""
QUANTITIES = ("flops", "latency_ms", MEMORY, "params")
"""What is known of a candidate before training, if it is asked for."""
SUFFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
REDRAWS = 20
"""Draws before a candidate is mended: where a twentieth of a space is allowed, two of three need no mending."""
STEPS = 40
"""Mutations tried to mend a candidate; what is still over a limit then is refused by the controller."""
SAMPLED, DESCENDED = 40, 120
"""Architectures looked at, drawn and on the way down, before a limit is said to be one that none meets."""

_WRITTEN = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*([-+]?[\d._]+(?:[eE][-+]?\d+)?)\s*([kMGT]?)\s*")


def parse_limit(text: str, known: Sequence[str] = QUANTITIES) -> Limit:
    """``"params<=1e6"`` or ``"flops <= 50M"``; raises ConfigError for another form or an unknown quantity.

    >>> parse_limit("flops<=50M")
    Limit(metric='flops', bound=50000000.0, least=False)
    """
    found = _WRITTEN.fullmatch(text)
    try:
        number = float(found[3]) * SUFFIXES[found[4]] if found else math.nan
    except ValueError:
        number = math.nan
    if found is None or not math.isfinite(number):
        raise ConfigError(f"expected a limit like 'params<=1e6' or 'flops<=50M', got {text!r}")
    if found[1] not in known:
        raise UnknownNameError("quantity of a limit", found[1], known)
    return Limit(found[1], number, found[2] == ">=")


def excess(limits: Iterable[Limit], known: Mapping[str, float]) -> float:
    """How far a candidate is outside of all limits together, each relative to its bound; 0 within, inf if not known."""
    total = 0.0
    for limit in limits:
        value = known.get(limit.metric, math.nan)
        beyond = limit.bound - value if limit.least else value - limit.bound
        total += math.inf if math.isnan(beyond) else max(0.0, beyond) / (abs(limit.bound) or 1.0)
    return total


def fits(history: History, architecture: Architecture) -> bool:
    """Whether a search with limits allows the candidate; without limits nothing is measured."""
    return not history.limits or history.allowed(architecture)


def within(history: History, draw: Callable[[], Architecture], rng: random.Random) -> Architecture:
    """What `draw` gives within the limits; where it gives none such, its nearest, mutated towards them."""
    if not history.limits:
        return draw()
    drawn: list[tuple[float, Architecture]] = []
    for _ in range(REDRAWS):
        candidate = draw()
        off = _excess(history.measure, history.limits, candidate)
        if not off:
            return candidate
        drawn.append((off, candidate))
    off, nearest = min(drawn, key=lambda pair: pair[0])
    for _ in range(STEPS):
        moved = history.space.mutate(nearest, rng)
        if (now := _excess(history.measure, history.limits, moved)) <= off:
            off, nearest = now, moved
        if not off:
            break
    return nearest


def check_meetable(space: Space, limits: Sequence[Limit], measure: Measure, rng: random.Random) -> None:
    """Raises ConfigError, with the best value seen, when a bounded search finds nothing within the limits.

    Architectures are drawn, and the nearest is mutated downhill: for a bound that nothing meets this is not a proof,
    but one that a search could not work with either.
    """
    seen: list[Mapping[str, float]] = []

    def look(architecture: Architecture) -> float:
        try:
            costs = measure(architecture)
        except CandidateError:
            return math.inf
        seen.append(costs)
        return excess(limits, costs)

    off, nearest = look(space.reference), space.reference
    for step in range(SAMPLED + DESCENDED):
        if not off:
            return
        moved = space.sample(rng) if step < SAMPLED else space.mutate(nearest, rng)
        if (now := look(moved)) <= off:
            off, nearest = now, moved
    if off:
        raise ConfigError(_unmet(space, limits, seen))


def _excess(measure: Measure, limits: Sequence[Limit], architecture: Architecture) -> float:
    try:
        return excess(limits, measure(architecture))
    except CandidateError:
        return math.inf


def _unmet(space: Space, limits: Sequence[Limit], seen: Sequence[Mapping[str, float]]) -> str:
    said = " and ".join(map(str, limits))
    if not seen:
        return f"none of {SAMPLED + DESCENDED} architectures of space {space.name!r} can be built, so none meets {said}"
    best = []
    for limit in limits:
        values = [known[limit.metric] for known in seen if limit.metric in known]
        if values:
            value = max(values) if limit.least else min(values)
            best.append(f"the {'largest' if limit.least else 'smallest'} {limit.metric} {value:.6g}")
    return (
        f"expected {said} to leave something of space {space.name!r}, but none of {len(seen)} architectures looked at "
        f"meets it; {' and '.join(best) or 'nothing of it is known'} was seen, give a wider limit"
    )
