"""Playing every strategy with every seed, in as many processes as there are cores."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context

from nas.controller.history import History
from nas.controller.propose import Proposer
from nas.controller.simulate import (
    Proposing,
    Simulation,
    hypervolumes,
    incumbents,
    play,
    regrets,
    seconds_of,
    trainings_to_optimum,
)
from nas.controller.table import Table
from nas.errors import CandidateError, ConfigError, NasError
from nas.plugin.build import build_strategy, build_table
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry, parse_spec

from .peers import PEER, peer

LOOKS = 200
"""So many random architectures without a row mean that a table is of another space."""


@dataclass(frozen=True)
class Bench:
    """What is asked for: strategies as on the command line, seeds 0 to `seeds` - 1.

    `proxies` None is all that the table has; `halving` as in `simulate`.
    """

    table: str
    strategies: tuple[str, ...]
    trials: int = 100
    seeds: int = 20
    workers: int = 1
    proxies: tuple[str, ...] | None = None
    halving: float | None = None
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Played:
    """One search: numbers after each training, and those of the whole. `values` is judged quality or hypervolume."""

    strategy: str
    seed: int
    regrets: tuple[float, ...]
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    optimum: int | None
    propose_seconds: tuple[float, ...]
    scored: int
    score_seconds: float
    trained_seconds: float
    reason: str


def split_specs(text: str) -> list[str]:
    """Specs out of a list; a comma also stands between options, and a piece that only says one belongs to its spec.

    >>> split_specs("random, evolution:population=9,sample=3; peer:tpe")
    ['random', 'evolution:population=9,sample=3', 'peer:tpe']
    """
    found: list[str] = []
    for part in text.replace(";", ",;").split(","):
        fresh, piece = part.startswith(";"), part.lstrip(";").strip()
        if not piece:
            continue
        option = "=" in piece and ":" not in piece.partition("=")[0]
        if option and (fresh or not found):
            raise ConfigError(f"expected a strategy and then its options, got {piece!r} first")
        if option:
            found[-1] += ("," if ":" in found[-1] else ":") + piece
        else:
            found.append(piece)
    return found


def check(bench: Bench) -> Table:
    """The table, when everything is as it should be; raises NasError in one sentence before anything is played."""
    for name, value in (("trials", bench.trials), ("seeds", bench.seeds), ("workers", bench.workers)):
        if value < 1:
            raise ConfigError(f"expected --{name} to be at least 1, got {value}")
    if bench.halving is not None and not bench.halving > 1:
        raise ConfigError(f"expected --halving to be larger than 1, got {bench.halving:g}")
    if not bench.strategies:
        raise ConfigError("expected at least one strategy, got none")
    if twice := [name for name in bench.strategies if bench.strategies.count(name) > 1]:
        raise ConfigError(f"strategy {twice[0]!r} is listed twice")
    registry = _registry(bench.plugins)
    table = _table(bench.plugins, bench.table)
    makers = [_maker(registry, spec) for spec in bench.strategies]
    for name in bench.proxies or ():
        if name not in table.proxies:
            known = ", ".join(table.proxies) or "none"
            raise ConfigError(f"table {bench.table!r} has no zero-cost score {name!r}; it has {known}")
    _check_rows(table, bench.table)
    for spec, make in zip(bench.strategies, makers, strict=True):
        _check_strategy(spec, make, table, bench)
    return table


def plays(bench: Bench, processes: int, progress: Callable[[int, int], None] | None = None) -> list[Played]:
    """Every search, in the order of strategies and seeds."""
    jobs = [(bench, spec, seed) for spec in bench.strategies for seed in range(bench.seeds)]
    found: dict[tuple[str, int], Played] = {}
    for done, played in enumerate(_done(jobs, min(processes, len(jobs))), 1):
        found[played.strategy, played.seed] = played
        if progress is not None:
            progress(done, len(jobs))
    return [found[spec, seed] for _, spec, seed in jobs]


def one(bench: Bench, spec: str, seed: int) -> Played:
    """One search, in this process."""
    table = _table(bench.plugins, bench.table)
    proxies = table.proxies if bench.proxies is None else bench.proxies
    proposer = _maker(_registry(bench.plugins), spec)(table, seed)
    found = play(table, proposer, trials=bench.trials, workers=bench.workers, proxies=proxies, halving=bench.halving)
    return summed(found, spec, seed)


def summed(found: Simulation, spec: str, seed: int) -> Played:
    """A simulation as numbers."""
    return Played(
        spec,
        seed,
        tuple(regrets(found)),
        tuple(hypervolumes(found) if found.table.judge is None else incumbents(found)),
        tuple(seconds_of(found)),
        trainings_to_optimum(found),
        found.propose_seconds,
        found.scored,
        found.score_seconds,
        sum(trial.seconds for trial in found.trained),
        found.reason,
    )


def _done(jobs: Sequence[tuple[Bench, str, int]], processes: int) -> Iterator[Played]:
    if processes == 1:
        yield from (one(*job) for job in jobs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _one_thread) as pool:
        waiting = [pool.submit(one, *job) for job in jobs]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    """Processes side by side must not fight for cores, whichever library computes."""
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = "1"  # for what is not loaded yet
    threadpool_limits(1)


Maker = Callable[[Table, int], Proposing]


def _maker(registry: Registry, spec: str) -> Maker:
    if spec.startswith(PEER):
        return peer(spec.removeprefix(PEER))
    name = parse_spec(spec)[0]
    strategy = build_strategy(registry, spec)
    return lambda table, seed: Proposer(table.space, (name, strategy), seed)


@cache
def _registry(plugins: tuple[str, ...]) -> Registry:
    return create_manager(plugins).registry


@cache
def _table(plugins: tuple[str, ...], spec: str) -> Table:
    """One a process: every search in it asks the same table."""
    made: Table = build_table(_registry(plugins), spec)
    return made


def _check_rows(table: Table, name: str) -> None:
    rng = random.Random(0)
    for _ in range(LOOKS):
        try:
            table.row(table.space.sample(rng))
        except CandidateError:
            continue
        return
    raise ConfigError(
        f"table {name!r} has no row for any of {LOOKS} random architectures of its space {table.space.name!r}: "
        "it is of another space"
    )


def _check_strategy(spec: str, make: Maker, table: Table, bench: Bench) -> None:
    """Asks for one proposal, which shows what only the strategy knows: whether it can work with this space."""
    proxies = table.proxies if bench.proxies is None else bench.proxies
    try:
        if not spec.startswith(PEER):
            strategy = build_strategy(_registry(bench.plugins), spec)
            if refuse := getattr(strategy, "check", None):
                refuse(table.space, table.objectives)
        empty = History(table.space, table.objectives, (), bench.trials, lambda a: table.row(a).costs, (), proxies)
        make(table, 0).propose(empty)
    except NasError as error:
        raise ConfigError(f"strategy {spec!r} cannot search table {bench.table!r}: {error}") from error
