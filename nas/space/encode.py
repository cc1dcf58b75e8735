"""What a model reads off an architecture of any space: which chains of blocks its simplified graph holds."""

from __future__ import annotations

from collections import Counter

from nas.space.architecture import Architecture
from nas.space.flat import Value, flatten

LENGTH = 3
"""Blocks of the longest chain counted: a block, what it reads, and what that reads."""

Chain = tuple[str, ...]


def chains(architecture: Architecture, length: int = LENGTH) -> Counter[Chain]:
    """How often every chain of at most `length` blocks, each feeding the next, stands in the simplified graph.

    Blocks are told apart by name and parameters; the graph's inputs and its output count as blocks. Whole paths from
    input to output (White et al., BANANAS, AAAI 2021) grow exponentially with depth; their pieces do not, and say as
    much of a cell. Networks with one digest have the same chains.
    """
    flat = flatten(architecture.graph)
    ending: list[dict[Chain, int]] = [{("input",): 1} for _ in flat.inputs]
    found: Counter[Chain] = Counter()

    def end(label: str, ports: tuple[Value, ...]) -> dict[Chain, int]:
        here: dict[Chain, int] = {(label,): 1}
        for port in ports:
            for source in port:
                for chain, times in ending[source].items():
                    if len(chain) < length:
                        longer = (*chain, label)
                        here[longer] = here.get(longer, 0) + times
        return here

    for term in flat.terms:
        ending.append(here := end(term.block.label, term.ports))
        found.update(here)
    found.update(end("output", (flat.output,)))
    return found
