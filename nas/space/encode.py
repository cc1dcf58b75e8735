"""What a model reads off an architecture of any space: which chains of blocks its simplified graph holds."""

from __future__ import annotations

from collections import Counter

from nas.space.architecture import Architecture
from nas.space.flat import simplified
from nas.space.graph import Block, Graph

Chain = tuple[str, ...]


def chains(architecture: Architecture) -> Counter[Chain]:
    """How often every chain of one, two or three blocks, each feeding the next, stands in the simplified graph.

    Blocks are told apart by name and parameters; the graph's inputs and its output count as blocks. Whole paths from
    input to output (White et al., BANANAS, AAAI 2021) grow exponentially with depth; their pieces do not, and say as
    much of a cell. A graph that a block holds, as a recurrent layer its cell, is one more piece of the network: its own
    chains count, and the block's label says only that there is one, for two cells that differ in a block are alike.
    Networks with one digest have the same chains.
    """
    found: Counter[Chain] = Counter()
    _count(architecture.graph, found, {})
    return found


def _count(graph: Graph, found: Counter[Chain], said: dict[int, str]) -> None:
    terms, output = simplified(graph)
    inputs = len(graph.inputs)
    labels = ["input"] * inputs
    sources: list[list[int]] = [[] for _ in range(inputs)]
    for _, block, ports in terms:
        label = said.get(id(block))
        if label is None:
            label = said[id(block)] = _label(block)
        labels.append(label)
        sources.append([i for port in ports for i in port])
        for _, value in block.params:
            if isinstance(value, Graph):
                _count(value, found, said)
    labels.append("output")
    sources.append(list(output))
    links: list[Chain] = [(label,) for label in labels[inputs:]]
    for last, read in zip(labels, sources, strict=True):
        for i in read:
            middle = labels[i]
            links.append((middle, last))
            links += [(labels[j], middle, last) for j in sources[i]]
    found.update(links)


def _label(block: Block) -> str:
    """The block's label; graphs among the parameters are left out of it."""
    plain = tuple((name, value) for name, value in block.params if not isinstance(value, Graph))
    return block.label if len(plain) == len(block.params) else f"{Block(block.signature, plain).label}+graph"
