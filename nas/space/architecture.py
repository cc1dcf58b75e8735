"""One architecture: an immutable graph without choices, JSON in and out, a canonical digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

import networkx as nx

from nas.errors import ConfigError, SpaceError
from nas.space.digest import digest
from nas.space.flat import flatten
from nas.space.graph import Block, Graph, Node, Scalar, Signature, Traits

FORMAT = 1


@dataclass(frozen=True)
class Architecture:
    """A directed acyclic graph of named blocks with parameters; it holds no weights.

    `decisions` says which option each label of its space took; it is what strategies read and change. Two
    architectures are equal when their graphs and decisions are; they are the *same network* when their digests are.
    `settings` are the decisions that its network does not depend on, such as how it is to be trained.
    """

    graph: Graph
    decisions: Mapping[str, Scalar] = field(default_factory=dict)
    settings: Mapping[str, Scalar] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits, equal for networks that are the same function of the same weights to learn.

        One with other settings is another candidate, and has another digest.
        """
        network = digest(self.graph)
        if not self.settings:
            return network
        said = json.dumps([network, sorted(self.settings.items())])
        return blake2b(said.encode(), digest_size=16).hexdigest()

    @property
    def network(self) -> Architecture:
        """The same without settings: what is left of it when it is trained."""
        decided = {label: name for label, name in self.decisions.items() if label not in self.settings}
        return Architecture(self.graph, decided) if self.settings else self

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_networkx(self) -> nx.DiGraph[str]:
        """The simplified graph; nodes are paths with `label`, `block` and `params`, edges carry the `port`."""
        flat = flatten(self.graph)
        drawn: nx.DiGraph[str] = nx.DiGraph()
        names = [*flat.inputs, *(term.path for term in flat.terms)]
        for name in flat.inputs:
            drawn.add_node(name, label="input", block="", params={})
        for path, block, ports in flat.terms:
            drawn.add_node(path, label=block.label, block=block.name, params=dict(block.params))
            for number, port in enumerate(ports):
                drawn.add_edges_from((names[i], path, {"port": number}) for i in port)
        drawn.add_node("output", label="output", block="", params={})
        drawn.add_edges_from((names[i], "output", {"port": 0}) for i in flat.output)
        return drawn

    def to_json(self) -> str:
        """The architecture as one line of JSON; `from_json` gives it back."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    def to_dict(self) -> dict[str, Any]:
        """What `to_json` writes: every distinct sub-graph once, every block's declaration once."""
        blocks: dict[str, Signature] = {}
        graphs: list[dict[str, Any]] = []
        written: dict[int, int] = {}

        def write(graph: Graph) -> int:
            if id(graph) not in written:
                nodes = [[node.name, element(node), list(node.inputs)] for node in graph.nodes]  # type: ignore[arg-type]
                body = {"inputs": list(graph.inputs), "nodes": nodes, "output": graph.output}
                if body not in graphs:
                    graphs.append(body)
                written[id(graph)] = graphs.index(body)
            return written[id(graph)]

        def element(node: Node) -> dict[str, Any]:
            if isinstance(node.op, Graph):
                return {"graph": write(node.op)}
            assert isinstance(node.op, Block)
            blocks[node.op.name] = node.op.signature
            params = {k: {"graph": write(v)} if isinstance(v, Graph) else v for k, v in node.op.params}
            return {"block": node.op.name, "params": params}

        root = write(self.graph)
        return {
            "format": FORMAT,
            "decisions": dict(self.decisions),
            **({"settings": dict(self.settings)} if self.settings else {}),
            "blocks": {name: _declaration(signature) for name, signature in sorted(blocks.items())},
            "graphs": graphs,
            "root": root,
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> Architecture:
        """Raises SpaceError when the text is no architecture or was written by a newer version."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SpaceError(f"expected an architecture as JSON, got text that is none: {error}") from error
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """See `from_json`."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise SpaceError(f"expected an architecture of format {FORMAT}, got {found!r}")
        try:
            signatures: dict[str, Signature] = {name: _signature(name, said) for name, said in data["blocks"].items()}
            graphs: list[Graph] = []

            def element(said: Mapping[str, Any]) -> Block | Graph:
                if "graph" in said:
                    number: int = said["graph"]
                    return graphs[number]
                given = said["params"].items()
                params = {k: graphs[v["graph"]] if isinstance(v, dict) else v for k, v in given}
                signature = signatures[said["block"]]
                return signature(**params)

            for body in data["graphs"]:
                nodes = [_fed(Node(name, element(said), tuple(inputs))) for name, said, inputs in body["nodes"]]
                graphs.append(Graph.checked(body["inputs"], nodes, body["output"], dangling=True))
            return cls(graphs[data["root"]], dict(data["decisions"]), dict(data.get("settings", {})))
        except (LookupError, TypeError, ValueError, AttributeError, ConfigError) as error:
            raise SpaceError(f"the architecture is incomplete or damaged: {error!r}") from error


def _fed(node: Node) -> Node:
    """The node, if it has as many inputs as its block or graph takes."""
    op, count = node.op, len(node.inputs)  # type: ignore[arg-type]
    least = len(op.inputs) if isinstance(op, Graph) else len(op.signature.ports)  # type: ignore[union-attr]
    if count < least or (count > least and not (isinstance(op, Block) and op.signature.variadic)):
        raise SpaceError(f"node {node.name!r} takes {least} inputs, got {count}")
    return node


def _declaration(signature: Signature) -> dict[str, Any]:
    traits = signature.traits
    said = {"role": traits.role, "keeps_zero": traits.keeps_zero}
    return {
        "inputs": list(signature.inputs),
        "output": signature.output,
        "parameters": dict(signature.parameters),
        "traits": {key: value for key, value in said.items() if value},
    }


def _signature(name: str, said: Mapping[str, Any]) -> Signature:
    parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in said["parameters"].items()}
    return Signature(name, tuple(said["inputs"]), said["output"], parameters, Traits(**said["traits"]))
