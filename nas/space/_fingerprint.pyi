from collections.abc import Sequence

from nas.space.program import Program

KEYS: int
"""Ports of a block with a key; graphs with more are left to Python."""

def prepare(odd: int, out: int, keys: Sequence[int]) -> None:
    """Takes the constants; there must be `KEYS` keys."""

def said(graph: Program, calls: Sequence[Program]) -> bytes | None:
    """What `fingerprint` hashes, or None where it takes Python to say so."""
