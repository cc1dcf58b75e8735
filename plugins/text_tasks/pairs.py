"""From one text to another: the next token of the target after the source and the target so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.space.ports import Port, TaskInfo
from nas.train.files import parted
from nas.train.task import IGNORE, Arrays, ArrayTask

from .tokens import END, PADDING, START, Level, Vocabulary, check_level, chosen_length, pieces
from .tsv import looks_like, read_table

LONGEST = 64
Texts = Sequence[Sequence[str]]


def claims(path: Path) -> bool:
    """Whether the table has a source and a target."""
    return {"source", "target"} <= set(looks_like(path))


def pairs(
    *,
    path: str,
    level: Level = "words",
    source_length: int = 0,
    target_length: int = 0,
    vocabulary: int = 10_000,
    vocabulary_from: str = "",
    columns: str = "",
) -> ArrayTask:
    """Pairs of texts, in a table with the columns source and target, perhaps after split or id.

    A network gets the source and the target after a start token, and is asked for the target and an end token; padding
    is not asked for. One vocabulary serves both. The options are those of task `text`; a length counts the start and
    the end token.
    """
    check_level(level, "pairs")
    table = read_table(path, ("source", "target"), columns)
    sources, targets = ([pieces(row, level) for row in table[name]] for name in ("source", "target"))
    rows = Arrays((np.arange(len(sources)),), np.zeros(len(sources), dtype=np.float32))
    train, test = parted(rows, table.test)
    seen = [sources[i] for i in train.x[0]], [targets[i] for i in train.x[0]]
    if not all(map(len, sources)) or not all(map(len, targets)):
        raise TaskError(f"{path}: expected a source and a target in every row, got an empty one")
    known = Vocabulary.chosen([*seen[0], *seen[1]], level, vocabulary, vocabulary_from)
    sizes = (
        chosen_length(seen[0], source_length, LONGEST, path),
        chosen_length([[START, *t] for t in seen[1]], target_length, LONGEST, path),
    )
    return task_of(sources, targets, known, sizes, (train.x[0].tolist(), test.x[0].tolist()), Path(path).name)


def task_of(
    sources: Texts,
    targets: Texts,
    known: Vocabulary,
    sizes: tuple[int, int],
    rows: tuple[Sequence[int], Sequence[int]],
    name: str,
) -> ArrayTask:
    """The task of these texts, of which `rows` are for the search and for the test."""
    ports = tuple(Port("tokens", (size,)) for size in sizes)
    info = TaskInfo(name.partition(".")[0], ports, len(known), "token", len(known), PADDING)

    def arrays(part: Sequence[int]) -> Arrays:
        told = [known.encode(targets[i]) for i in part]
        source = known.padded([known.encode(sources[i]) for i in part], sizes[0])
        before = known.padded([[START, *row] for row in told], sizes[1])
        return Arrays((source, before), known.padded([[*row, END] for row in told], sizes[1], fill=IGNORE))

    return ArrayTask(info, arrays(rows[0]), lambda: arrays(rows[1]), facts=known.facts)
