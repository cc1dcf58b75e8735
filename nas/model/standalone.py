"""A network as one file that needs PyTorch and nothing of ours: the blocks' own source, `Network`, and `load`."""

from __future__ import annotations

import re

from nas.model.compile import Blueprint
from nas.model.extract import Extract
from nas.model.settle import shape_text
from nas.model.weights import read_weights

LOAD = '''\
def load(weights: str = "weights.safetensors", device: str = "cpu") -> Network:
    """The trained network in evaluation mode; a relative path starts at this file's folder."""
    network = Network()
    network.load_state_dict(read_weights(Path(__file__).parent / weights))
    return network.to(device).eval()
'''


def standalone_source(blueprint: Blueprint) -> str:
    """The text of model.py, which imports PyTorch and the standard library only.

    Raises ExportError for a block whose source cannot be found or needs anything else.
    """
    extract = Extract(reserved=("Network", "load", *(name for name, _ in blueprint.plan.inner)))
    extract.bring("import torch", "from torch import nn", "from pathlib import Path")
    for name, cls in blueprint.classes.items():
        extract.add(cls, name)
    extract.add(read_weights, "read_weights")
    body = [part.strip("\n") for part in (*extract.definitions(), blueprint.source, LOAD)]
    gap = "\n\n\n" if re.match(r"(#.*\n)*(@|class |def |async )", body[0]) else "\n\n"
    return f"{_docstring(blueprint)}\n\n{extract.imports()}{gap}" + "\n\n\n".join(body) + "\n"


def _docstring(blueprint: Blueprint) -> str:
    plan = blueprint.plan
    coming = ", ".join(f"{name} {shape_text(port)}" for name, port in zip(plan.inputs, plan.input_ports, strict=True))
    return f'''"""A network for {blueprint.task.name}, found by neural architecture search; it needs only PyTorch.

    from model import load
    network = load()

{coming} -> {shape_text(plan.output_port)}; {blueprint.costs.params:,} parameters, {blueprint.costs.flops:,} operations
for one example. Architecture {blueprint.architecture.digest}.
"""'''
