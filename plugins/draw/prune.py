"""An architecture's graph, its nesting kept, without what computes nothing: zeros, identities, lone sums, dead ends."""

from __future__ import annotations

from nas.space.graph import Block, Graph, Node

Source = str | None
"""The node or input that a value is; None where it is zero."""


def prune(graph: Graph) -> Graph:
    """The graph as it is drawn; one that computes a constant or only passes its input on is left as it is."""
    found = _pruned(graph, dict.fromkeys(graph.inputs, True))
    return found if isinstance(found, Graph) else graph


def _pruned(graph: Graph, alive: dict[str, bool]) -> Graph | Source:
    """The pruned graph, the name of the input that it only passes on, or None for zero."""
    values: dict[str, Source] = {name: name if alive[name] else None for name in graph.inputs}
    kept: list[Node] = []
    for node in graph.nodes:
        assert isinstance(node.inputs, tuple)
        sources = [values[name] for name in node.inputs]
        found = _node(node, sources)
        if isinstance(found, Node):
            kept.append(found)
            values[node.name] = node.name
        else:
            values[node.name] = found
    output = values[graph.output]
    if output is None or output in graph.inputs:
        return output
    return _without_dead(Graph(graph.inputs, tuple(kept), output))


def _node(node: Node, sources: list[Source]) -> Node | Source:
    live = tuple(source for source in sources if source is not None)
    if isinstance(node.op, Graph):
        return _inner(node.name, node.op, sources)
    assert isinstance(node.op, Block)
    traits = node.op.signature.traits
    if traits.role == "zero" or (traits.keeps_zero and not live):
        return None
    if traits.role == "identity":
        return sources[0]
    if traits.role == "sum" and len(live) < 2:
        return live[0] if live else None
    return Node(node.name, _parameters(node.op), live)


def _parameters(block: Block) -> Block:
    """The block with pruned graphs as parameters."""
    if not any(isinstance(value, Graph) for _, value in block.params):
        return block
    params = tuple((key, prune(value) if isinstance(value, Graph) else value) for key, value in block.params)
    return Block(block.signature, params)


def _inner(name: str, graph: Graph, sources: list[Source]) -> Node | Source:
    alive = {entry: source is not None for entry, source in zip(graph.inputs, sources, strict=True)}
    found = _pruned(graph, alive)
    by_entry = dict(zip(graph.inputs, sources, strict=True))
    if not isinstance(found, Graph):
        return None if found is None else by_entry[found]
    read = {source for node in found.nodes for source in node.inputs}  # type: ignore[union-attr]
    entries = tuple(entry for entry in graph.inputs if entry in read)
    inputs = tuple(source for entry in entries if (source := by_entry[entry]) is not None)
    return Node(name, Graph(entries, found.nodes, found.output), inputs)


def _without_dead(graph: Graph) -> Graph:
    live = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in live:
            assert isinstance(node.inputs, tuple)
            live.update(node.inputs)
    return Graph(graph.inputs, tuple(node for node in graph.nodes if node.name in live), graph.output)
