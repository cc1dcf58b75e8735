"""Classification of texts, and telling a number from a text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from nas.errors import ConfigError, TaskError
from nas.space.ports import Port, TaskInfo
from nas.train.files import numbered, parted
from nas.train.task import Array, Arrays, ArrayTask

from .tokens import PADDING, Level, Vocabulary, check_level, chosen_length, pieces
from .tsv import Table, looks_like, read_table

LONGEST = 64
"""Tokens of a text that are read where the user says nothing."""


def claims(path: Path) -> bool:
    """Whether the table has a label and a text."""
    return {"label", "text"} <= set(looks_like(path))


def text(
    *,
    path: str,
    target: Literal["auto", "class", "value"] = "auto",
    level: Level = "words",
    length: int = 0,
    vocabulary: int = 10_000,
    vocabulary_from: str = "",
    columns: str = "",
) -> ArrayTask:
    """Texts with a class or a number, in a table with the columns label and text, perhaps after split or id.

    The columns may have a first line of names (split, label or value or score, text or sentence, id), or `columns` says
    them, as ``label/text``. Rows whose split is test are the test part, without a split a fifth of all.

    target: ``class``, ``value`` (a regression), or ``auto``: values where any label has a fraction.
    level: ``words`` in lower case, or ``characters``.
    length: tokens of a text that are read; by default as many as the longest text has, at most 64. Shorter texts are
        followed by padding, which blocks with a mask do not see.
    vocabulary: how many different tokens are known, the most frequent of the training part; of them 0 is padding and 1
        an unknown one.
    vocabulary_from: the folder of a run or an exported network whose vocabulary is to be used.

    Raises ConfigError or TaskError.
    """
    check_level(level, "text")
    table = read_table(path, ("label", "text"), columns)
    y, classes = _answers(table, target)
    rows = [pieces(row, level) for row in table["text"]]
    train, test = parted(Arrays((np.arange(len(y)),), y), table.test)
    if classes and (missing := set(range(len(classes))) - set(train.y.tolist())):
        raise TaskError(f"{path}: expected every class to train on, got none of class {classes[min(missing)]}")
    seen = [rows[i] for i in train.x[0]]
    known = Vocabulary.chosen(seen, level, vocabulary, vocabulary_from)
    size = chosen_length(seen, length, LONGEST, path)
    info = TaskInfo(
        Path(path).name.partition(".")[0],
        (Port("tokens", (size,)),),
        len(classes) or 1,
        "class" if classes else "value",
        vocabulary=len(known),
        padding=PADDING,
    )

    def arrays(part: Arrays) -> Arrays:
        return Arrays((known.padded([known.encode(rows[i]) for i in part.x[0]], size),), part.y)

    facts = known.facts | ({"classes": classes} if classes else {})
    return ArrayTask(info, arrays(train), lambda: arrays(test), facts=facts)


def _answers(table: Table, target: str) -> tuple[Array, list[str]]:
    """Classes with their names, or values without."""
    if target not in ("auto", "class", "value"):
        raise ConfigError(f"option 'target' of task 'text': expected auto, class or value, got {target!r}")
    labels = table["label"]
    if target == "class" or (target == "auto" and not _has_fractions(labels)):
        whole = all(map(str.isdecimal, labels))  # classes 2 and 10 stand in this order
        return numbered(np.array(labels, dtype=int if whole else str), f"{table.where}: labels")
    for number, label in enumerate(labels, start=1):
        if not _is_number(label):
            raise TaskError(f"{table.where}: row {number}: expected a finite number as label, got {label!r}")
    y = np.array(labels, dtype=np.float32)
    if y.min() == y.max():
        raise TaskError(f"{table.where}: expected different values, got {y[0]} in every row")
    return y, []


def _has_fractions(labels: list[str]) -> bool:
    return all(map(_is_number, labels)) and any(not float(label).is_integer() for label in labels)


def _is_number(label: str) -> bool:
    try:
        return bool(np.isfinite(np.float32(label)))
    except ValueError:
        return False
