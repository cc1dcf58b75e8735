"""What a model reads off an architecture of any space: which chains of blocks its simplified graph holds."""

from __future__ import annotations

from collections import Counter

from nas.space.architecture import Architecture
from nas.space.flat import flatten

Chain = tuple[str, ...]


def chains(architecture: Architecture) -> Counter[Chain]:
    """How often every chain of one, two or three blocks, each feeding the next, stands in the simplified graph.

    Blocks are told apart by name and parameters; the graph's inputs and its output count as blocks. Whole paths from
    input to output (White et al., BANANAS, AAAI 2021) grow exponentially with depth; their pieces do not, and say as
    much of a cell. Networks with one digest have the same chains.
    """
    flat = flatten(architecture.graph)
    said: dict[int, str] = {}
    labels: list[str] = ["input"] * len(flat.inputs)
    sources: list[list[int]] = [[] for _ in flat.inputs]
    for _, block, ports in flat.terms:
        label = said.get(id(block))
        if label is None:
            label = said[id(block)] = block.label
        labels.append(label)
        sources.append([i for port in ports for i in port])
    labels.append("output")
    sources.append(list(flat.output))
    found: list[Chain] = [(label,) for label in labels[len(flat.inputs) :]]
    for last, read in zip(labels, sources, strict=True):
        for i in read:
            middle = labels[i]
            found.append((middle, last))
            found += [(labels[j], middle, last) for j in sources[i]]
    return Counter(found)
