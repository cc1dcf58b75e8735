"""``nas benchmark``: strategies and peers on a table of trained architectures, in simulated time.

`runs.py` plays every strategy with every seed, `peers.py` has what others are compared with, `summary.py` makes numbers
of it and `report.py` shows them.
"""

from __future__ import annotations

from .command import nas_add_commands

__all__ = ["nas_add_commands"]
