"""Making a table: every architecture of a sample is trained with every seed, and each epoch's scores are kept.

What is done is in a journal beside the file, a line a training, so that a making that is stopped goes on.
"""

from __future__ import annotations

import json
import math
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from nas.errors import CandidateError, ConfigError, TrainingError
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.space import Space
from nas.train.data import Data
from nas.train.loop import evaluate, stream, train
from nas.train.recipe import Recipe
from nas.train.target import evaluation_batch
from nas.train.task import open_task, usual_objective
from nas.train.worker import Setting, Worker, faster_layout

from .records import Record, Recorded, Setup, read, write

ENUMERABLE = 50_000
"""Spaces up to this size are enumerated, so that every network is there; of larger ones samples are drawn."""
TRIES = 200
"""Samples in a row that hold no new network end the drawing."""

Progress = Callable[[int, int], None]


class Recorder(Worker):
    """A worker that also looks at the test part: for tables alone, a search never sees one."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        task = Setting.open(config).task
        self.test = Data(task.test_arrays(), self.device, evaluation_batch(task.info))
        self.metric: str = config["metric"].removeprefix("val_")

    def record(self, architecture: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """One training: scores of both parts after each epoch, NaN from where it failed; or why it was refused."""
        try:
            plan = self.blueprint(Architecture.from_dict(architecture))
        except CandidateError as error:
            return {"refused": str(error)}
        torch.manual_seed(stream(seed, "weights"))
        network = faster_layout(plan.build().to(self.device), self.validation)
        val, test, seconds = [], [], 0.0
        epochs = train(
            network,
            self.data,
            self.validation,
            self.recipe,
            seed=seed,
            target=self.target,
            augment=self.augmentations(self.recipe),
        )
        started = time.process_time()  # of this process, so that whatever else runs here does not count
        try:
            for metrics in epochs:
                seconds += time.process_time() - started
                val.append(metrics[f"val_{self.metric}"])
                test.append(evaluate(network, self.test, self.target)[self.metric])
                started = time.process_time()
        except TrainingError:
            missing = [math.nan] * (self.recipe.epochs - len(val))
            val, test = val + missing, test + missing
        costs = {"params": plan.costs.params, "flops": plan.costs.flops}
        return {"seed": seed, "val": val, "test": test, "seconds": seconds, **costs}

    def scored(self, architecture: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
        """What zero-cost proxies say of an architecture, and the seconds they took."""
        found = self.score(architecture, names)
        return {"scores": {n: found["scores"].get(n, math.nan) for n in names}, "score_seconds": found["seconds"]}


def make_setup(
    registry: Registry,
    space: str,
    only: Mapping[str, Any],
    task: str,
    recipe: Mapping[str, Any],
    seeds: int,
    samples: int | None,
) -> Setup:
    """The setup that a user means; raises ConfigError, UnknownNameError, SpaceError or TaskError."""
    for name, value in (("seeds", seeds), ("samples", 1 if samples is None else samples)):
        if value < 1:
            raise ConfigError(f"expected {name} to be at least 1, got {value}")
    opened = open_task(registry, task)
    whole = Recipe.parse(recipe, opened.info, len(opened.train_arrays())).model_dump(mode="json")
    details = registry.get("objective", usual_objective(opened)).details
    setup = Setup(space, dict(only), task, whole, details["metric"], details["direction"], seeds, samples)
    setup.build(registry, opened.info)
    return setup


def make(setup: Setup, out: Path, *, plugins: tuple[str, ...] = (), processes: int = 1, progress: Progress) -> Recorded:
    """Trains what is not in the file or its journal yet, then writes the file; the zero-cost scores likewise."""
    registry = create_manager(plugins).registry
    info = open_task(registry, setup.task, check=False).info
    space = setup.build(registry, info)
    sample = dict(distinct(space, setup.samples))
    records = {digest: Record(dict(made.decisions)) for digest, made in sample.items()}
    journal = Journal(out.with_suffix(".jsonl"), setup)
    known = _from_file(out, setup, space) | journal.read()
    for digest, lines in known.items():
        for line in lines if digest in records else []:
            _take(records[digest], line)
    proxies = [entry.name for entry in registry.all("proxy")] if hasattr(Worker, "score") else []
    jobs = list(_jobs(sample, records, setup.seeds, proxies))
    config = {
        "plugins": list(plugins),
        "task": setup.task,
        "recipe": dict(setup.recipe),
        "seed": 0,
        "run": str(out.parent),
        "threads": 1,
        "device": "cpu",
        "metric": setup.metric,
    }
    total = len(jobs)
    for number, (digest, line) in enumerate(_done(config, jobs, processes), 1):
        journal.add(digest, line)
        _take(records[digest], line)
        progress(number, total)
    made = {"machine": platform.machine(), "torch": torch.__version__, "python": platform.python_version()}
    recorded = Recorded(setup, info, list(records.values()), made)
    write(out, recorded, space)
    return recorded


def distinct(space: Space, samples: int | None) -> Iterator[tuple[str, Architecture]]:
    """Digest and architecture of every network of a small space or of so many random ones, each once."""
    rng, found = random.Random(0), dict[str, Architecture]()
    if space.size <= ENUMERABLE:
        for made in space.enumerate():
            found.setdefault(made.digest, made)
        chosen = list(found.items())
        rng.shuffle(chosen)
        yield from chosen[:samples]
        return
    if samples is None:
        raise ConfigError(f"space {space.name!r} has {space.size:,} architectures; say how many samples to train")
    tries = 0
    while len(found) < samples and tries < TRIES:
        made = space.sample(rng)
        tries = tries + 1 if made.digest in found else 0
        if made.digest not in found:
            found[made.digest] = made
            yield made.digest, made


Job = tuple[str, dict[str, Any], int | list[str]]
"""Digest, architecture, and the seed to train with or the proxies to ask."""


def _jobs(
    sample: Mapping[str, Architecture], records: Mapping[str, Record], seeds: int, proxies: list[str]
) -> Iterator[Job]:
    """Trainings first: scores can be had at any time."""
    open_ = {digest: made.to_dict() for digest, made in sample.items() if not records[digest].refused}
    for digest, made in open_.items():
        yield from ((digest, made, seed) for seed in range(seeds) if seed not in records[digest].val)
    for digest, made in open_.items():
        if missing := [name for name in proxies if name not in records[digest].scores]:
            yield digest, made, missing


def _done(config: Mapping[str, Any], jobs: list[Job], processes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What came of each job, in the order in which they end."""
    if not jobs:
        return
    if processes == 1:
        _begin(config)
        for job in jobs:
            yield job[0], _do(job)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (config,)) as pool:
        waiting = {pool.submit(_do, job): job[0] for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


_recorder: list[Recorder] = []
"""The one of this process."""


def _begin(config: Mapping[str, Any]) -> None:
    _recorder[:] = [Recorder(config)]


def _do(job: Job) -> dict[str, Any]:
    _, architecture, wanted = job
    (recorder,) = _recorder
    return recorder.record(architecture, wanted) if isinstance(wanted, int) else recorder.scored(architecture, wanted)


class Journal:
    """What is done, a line each after the setup: whole lines count, what a crash left of one does not."""

    def __init__(self, file: Path, setup: Setup) -> None:
        self._file = file
        self._setup = json.dumps({"setup": asdict(setup)}, sort_keys=True)

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Digest -> its lines; raises ConfigError when it is of another setup."""
        if not self._file.is_file():
            return {}
        text = self._file.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # what comes next must not stand behind half a line
            self._file.write_text(whole)
        first, *lines = map(json.loads, whole.splitlines() or [self._setup])
        if first != json.loads(self._setup):
            raise ConfigError(f"{self._file} is of another table; remove it or give another --out")
        found: dict[str, list[dict[str, Any]]] = {}
        for said in lines:
            found.setdefault(said.pop("digest"), []).append(said)
        return found

    def add(self, digest: str, said: Mapping[str, Any]) -> None:
        """One line, durable when this returns."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self._file.is_file() or not self._file.stat().st_size
        with self._file.open("a") as out:
            out.write(self._setup + "\n" if fresh else "")
            out.write(json.dumps({"digest": digest, **said}) + "\n")
            out.flush()
            os.fsync(out.fileno())


def _from_file(out: Path, setup: Setup, space: Space) -> dict[str, list[dict[str, Any]]]:
    """What a file that was made before has, as lines of a journal."""
    if not out.is_file():
        return {}
    before = read(out)
    if json.dumps(asdict(before.setup), sort_keys=True) != json.dumps(asdict(setup), sort_keys=True):
        raise ConfigError(f"{out} is another table; give another --out")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in before.records:
        lines: list[dict[str, Any]] = [{"scores": row.scores, "score_seconds": row.score_seconds}]
        costs = {"params": row.params, "flops": row.flops}
        for seed, val in row.val.items():
            lines.append({"seed": seed, "val": val, "test": row.test[seed], "seconds": row.seconds[seed], **costs})
        found[space.architecture(row.decisions).digest] = lines
    return found


def _take(record: Record, line: Mapping[str, Any]) -> None:
    if "refused" in line:
        record.refused = line["refused"]
    elif "scores" in line:
        record.scores |= line["scores"]
        record.score_seconds |= line["score_seconds"]
    else:
        seed = line["seed"]
        record.val[seed], record.test[seed], record.seconds[seed] = line["val"], line["test"], line["seconds"]
        record.params, record.flops = line["params"], line["flops"]
