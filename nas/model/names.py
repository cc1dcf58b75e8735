"""From paths of node names to names in Python source."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Container
from functools import lru_cache

from torch import nn

_TAKEN = frozenset(dir(nn.Module()))
_UNITS = re.compile(r"(input\d*|output)_(mean|std)")
"""Names of a network's buffers that hold the units of the data."""


def identifier(text: str) -> str:
    """`text` as a Python name: what no name may hold becomes an underscore.

    >>> identifier("stage1/cell0/edge01"), identifier("3x3"), identifier("class")
    ('stage1_cell0_edge01', '_3x3', 'class_')
    """
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", text))
    if not name.isidentifier():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name.startswith("__") else name


def attribute(path: str, taken: Container[str]) -> str:
    """The name of the submodule at `path`: none that `nn.Module` has, none that is taken."""
    return unused(_free(path), taken)


@lru_cache(maxsize=10_000)
def _free(path: str) -> str:
    name = identifier(path)
    return f"{name}_" if name in _TAKEN or _UNITS.fullmatch(name) else name


def class_name(path: str) -> str:
    """The name of the class of a graph that is a parameter, from where it stands.

    >>> class_name("layers/layer0/recurrence/cell")
    'LayersLayer0RecurrenceCell'
    """
    parts = identifier(path).split("_")
    return identifier("".join(part[:1].upper() + part[1:] for part in parts))


def unused(name: str, taken: Container[str]) -> str:
    """`name`, or the first of ``name_2``, ``name_3``, ... that is not taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
