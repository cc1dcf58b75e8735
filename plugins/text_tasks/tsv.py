"""Tables of text: tab-separated columns in UTF-8, with or without a line of names, perhaps packed by gzip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.train.files import read_text
from nas.train.task import Array

COLUMNS = {
    "split": "split",
    "label": "label",
    "class": "label",
    "value": "label",
    "score": "label",
    "text": "text",
    "sentence": "text",
    "source": "source",
    "target": "target",
    "id": "id",
}
"""Names that a first line may have, and what each is taken for."""

PARTS = {"train": False, "dev": False, "valid": False, "validation": False, "test": True}
"""Words of a column `split`, and whether such a row is for the test."""


@dataclass(frozen=True)
class Table:
    """Columns by name, all equally long."""

    columns: dict[str, list[str]]
    where: str

    def __getitem__(self, name: str) -> list[str]:
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    @property
    def test(self) -> Array | None:
        """Which rows are for the test; None where no column says it. Rows for development are searched on."""
        if "split" not in self:
            return None
        for word in self["split"]:
            if word not in PARTS:
                raise TaskError(f"{self.where}: column split: expected {', '.join(PARTS)}, got {word!r}")
        held = np.array([PARTS[word] for word in self["split"]])
        if held.all() or not held.any():
            raise TaskError(f"{self.where}: column split: expected rows to train on and to test on, got one kind")
        return held


def read_table(path: str, wanted: Sequence[str], columns: str = "") -> Table:
    """The table in a file, which must have the columns `wanted`.

    columns: what the columns are, as ``split/label/text``. Otherwise a first line of names says it, or else the last
    columns are `wanted` and one before them is the split, if all its words are parts, or a name of the row.

    Raises TaskError with the line that is wrong.
    """
    rows = _rows(path)
    said = _names(rows[0])
    names = columns.split("/") if columns else said or _guessed(rows, wanted)
    rows, width = (rows[1:] if said else rows), len(rows[0])
    if len(names) != width or not set(wanted) <= set(names):
        found = f"columns {', '.join(names)}" if said or columns else f"{width} columns"
        raise TaskError(
            f"{path}: expected tab-separated columns {', '.join(wanted)}, perhaps after split or id, or a first line "
            f"of names; got {found}{f' for {width}' if columns else ''}"
        )
    if not rows:
        raise TaskError(f"{path}: expected rows under the names of the columns, got none")
    return Table({name: [row[i] for row in rows] for i, name in enumerate(names)}, path)


def looks_like(path: Path) -> list[str]:
    """Names of a file's columns, as its first line gives them or as its rows look."""
    rows = _rows(str(path))
    if names := _names(rows[0]):
        return names
    return ["source", "target"] if len(rows[0]) == 2 else ["label", "text"]


def _rows(path: str) -> list[list[str]]:
    rows: list[list[str]] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        row = line.split("\t")
        if rows and len(row) != len(rows[0]):
            raise TaskError(f"{path}: line {number}: expected {len(rows[0])} columns as in the first, got {len(row)}")
        rows.append([cell.strip() for cell in row])
    return rows


def _names(row: list[str]) -> list[str]:
    """What a first line calls the columns; nothing where it is no line of names."""
    found = [COLUMNS.get(cell.lower(), "") for cell in row]
    return found if len(row) > 1 and all(found) and len(set(found)) == len(found) else []


def _guessed(rows: list[list[str]], wanted: Sequence[str]) -> list[str]:
    more = len(rows[0]) - len(wanted)
    if more not in (0, 1):
        return []
    is_split = more and all(row[0] in PARTS for row in rows)
    return [*(("split",) if is_split else ("id",))[:more], *wanted]
