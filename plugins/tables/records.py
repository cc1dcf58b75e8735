"""The file of a table made here: what was trained and how, and what every epoch of every seed gave.

An npz of a few ten kilobytes: decisions as numbers of options, scores in half precision, and the setup as JSON.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import ConfigError
from nas.plugin.build import build_space
from nas.plugin.registry import Registry
from nas.space.graph import Scalar
from nas.space.ports import TaskInfo
from nas.space.restrict import restrict
from nas.space.space import Space

FORMAT = 1


@dataclass(frozen=True)
class Setup:
    """What a table is a table of; two makings with equal setups make one table.

    only: names of the options that a decision keeps, others keep all. metric: what an epoch's score is, as training
    calls it on the validation part. samples: how many architectures were asked for, None for all of the space.
    """

    space: str
    only: Mapping[str, Sequence[Scalar]]
    task: str
    recipe: Mapping[str, Any]
    metric: str
    direction: str
    seeds: int
    samples: int | None

    def build(self, registry: Registry, info: TaskInfo) -> Space:
        """The space."""
        whole = build_space(registry, self.space, info)
        if not self.only:
            return whole
        return Space(restrict(whole.graph, self.only), inputs=[p.kind for p in info.inputs], name=self.space)


@dataclass
class Record:
    """One architecture: a list a seed of the score of each epoch, the seconds of each seed's training."""

    decisions: Mapping[str, Scalar]
    val: dict[int, list[float]] = field(default_factory=dict)
    test: dict[int, list[float]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    params: float = math.nan
    flops: float = math.nan
    refused: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    score_seconds: dict[str, float] = field(default_factory=dict)

    def has(self, seeds: int) -> bool:
        """Whether it is trained with every seed."""
        return len(self.val) == seeds


@dataclass(frozen=True)
class Recorded:
    """A whole file. `made` says when, where and with which versions."""

    setup: Setup
    info: TaskInfo
    records: Sequence[Record]
    made: Mapping[str, Any]


def write(file: Path, recorded: Recorded, space: Space) -> None:
    """The whole file or the one before."""
    setup, rows = recorded.setup, [record for record in recorded.records if record.has(recorded.setup.seeds)]
    options = {d.label: {_key(name): i for i, name in enumerate(d.names)} for d in space.decisions}
    picks = [
        [options[label][_key(row.decisions[label])] if label in row.decisions else -1 for label in options]
        for row in rows
    ]
    proxies = list(dict.fromkeys(name for row in rows for name in row.scores))
    head = {
        "format": FORMAT,
        "setup": asdict(setup),
        "info": asdict(recorded.info),
        "made": dict(recorded.made),
        "decisions": [[d.label, list(d.names)] for d in space.decisions],
        "proxies": proxies,
    }
    seeds = range(setup.seeds)
    partial = file.with_suffix(".tmp.npz")
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        partial,
        head=np.array(json.dumps(head)),
        decisions=np.array(picks, dtype=np.int8),
        val=np.array([[row.val[seed] for seed in seeds] for row in rows], dtype=np.float16),
        test=np.array([[row.test[seed] for seed in seeds] for row in rows], dtype=np.float16),
        seconds=np.array([[row.seconds[seed] for seed in seeds] for row in rows], dtype=np.float16),
        costs=np.array([[row.params, row.flops] for row in rows], dtype=np.float64),
        scores=np.array([[row.scores.get(p, math.nan) for p in proxies] for row in rows], dtype=np.float32),
        score_seconds=np.array([[row.score_seconds.get(p, 0.0) for p in proxies] for row in rows], dtype=np.float16),
    )
    partial.replace(file)


def read(file: Path) -> Recorded:
    """Raises ConfigError for anything but a file that `write` wrote."""
    try:
        with np.load(file, allow_pickle=False) as found:
            head = json.loads(str(found["head"]))
            if head["format"] != FORMAT:
                raise ConfigError(f"{file}: expected a table of format {FORMAT}, got {head['format']!r}")
            columns = {name: found[name].tolist() for name in found if name != "head"}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file} is no table made by `nas tabulate`: {error}") from error
    info = head["info"] | {"inputs": tuple(_port(port) for port in head["info"]["inputs"])}
    return Recorded(Setup(**head["setup"]), TaskInfo(**info), list(_rows(head, columns)), head["made"])


def _rows(head: Mapping[str, Any], columns: Mapping[str, Any]) -> list[Record]:
    labels = head["decisions"]
    rows = []
    for i, picks in enumerate(columns["decisions"]):
        params, flops = columns["costs"][i]
        rows.append(
            Record(
                {label: names[pick] for (label, names), pick in zip(labels, picks, strict=True) if pick >= 0},
                dict(enumerate(columns["val"][i])),
                dict(enumerate(columns["test"][i])),
                dict(enumerate(columns["seconds"][i])),
                params,
                flops,
                scores=dict(zip(head["proxies"], columns["scores"][i], strict=True)),
                score_seconds=dict(zip(head["proxies"], columns["score_seconds"][i], strict=True)),
            )
        )
    return rows


def _key(name: Scalar) -> str:
    """True, 1 and 1.0 are three options."""
    return json.dumps(name)


def _port(said: Mapping[str, Any]) -> Any:
    from nas.space.ports import Port

    return Port(said["kind"], tuple(said["shape"]))
