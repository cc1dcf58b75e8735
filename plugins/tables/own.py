"""Tables made by ``nas tabulate``: those that come with the package, and files of users."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.controller.history import Direction, Objective
from nas.controller.table import Row, Rows, Table
from nas.errors import SpaceError
from nas.plugin.registry import Registry

from .files import one_of, present
from .records import Record, read

DATA = Path(__file__).parent / "data"
SOURCE = "a file that `nas tabulate` wrote"


def tabulated(registry: Registry, *, path: str, seen: str | int = "mean") -> Table:
    """A table made by `nas tabulate`.

    path: the file. seen: which seed's validation scores a search sees, or `mean` of all; the judge is always the mean
        of all seeds' test scores after the last epoch.
    """
    return opened(registry, present(path, "tabulated", SOURCE), seen)


def digits_cnn(registry: Registry, *, seen: str | int = "mean") -> Table:
    """Cells of `cell_cnn` on scikit-learn's digits; `seen` as in `tabulated`."""
    return opened(registry, DATA / "digits_cnn.npz", seen)


def digits_rnn(registry: Registry, *, seen: str | int = "mean") -> Table:
    """Stacks of `recurrent_stack` on the rows of scikit-learn's digits; `seen` as in `tabulated`."""
    return opened(registry, DATA / "digits_rnn.npz", seen)


def digits_transformer(registry: Registry, *, seen: str | int = "mean") -> Table:
    """Encoders of `encoder` on the rows of scikit-learn's digits; `seen` as in `tabulated`."""
    return opened(registry, DATA / "digits_transformer.npz", seen)


def opened(registry: Registry, file: Path, seen: str | int) -> Table:
    """The table in a file; raises ConfigError, or SpaceError where its space is not what it was."""
    recorded = read(file)
    setup = recorded.setup
    known = ["mean", *map(str, range(setup.seeds))]
    one_of(f"seed of table {file.name!r}", str(seen), known)
    seeds = list(range(setup.seeds)) if seen == "mean" else [int(seen)]
    space = setup.build(registry, recorded.info)
    direction: Direction = "maximize" if setup.direction == "maximize" else "minimize"
    judge = setup.metric.replace("val_", "test_", 1)
    rows: dict[Any, Row] = {}
    for record in recorded.records:
        try:
            rows[space.architecture(record.decisions).digest] = _row(record, seeds, setup.metric, judge)
        except SpaceError as error:
            raise SpaceError(
                f"{file.name} was made of space {setup.space!r} as it was then, not as it is now: {error}"
            ) from error
    objectives = (Objective(setup.metric, setup.metric, direction),)
    return Rows(space, objectives, rows, Objective(judge, judge, direction))


def _row(record: Record, seeds: Sequence[int], metric: str, judge: str) -> Row:
    epochs = zip(*(record.val[seed] for seed in seeds), strict=True)
    return Row(
        curve=tuple({"epoch": float(n), metric: _mean(values)} for n, values in enumerate(epochs, 1)),
        seconds=_mean([record.seconds[seed] for seed in seeds]),
        judged={judge: _mean([curve[-1] for curve in record.test.values()])},
        costs={"params": record.params, "flops": record.flops},
        scores=dict(record.scores),
        score_seconds=dict(record.score_seconds),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
