"""Padding after texts: no network of a shipped space sees it, trained or exported."""

from __future__ import annotations

import types
from collections.abc import Mapping
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.model import blueprint, standalone_source
from nas.model.settle import mask_word, settle
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.architecture import Architecture
from nas.space.graph import graph
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

registry = create_manager().registry

LENGTH, VOCABULARY = 10, 20
TOKENS = Port("tokens", (LENGTH,))
TEXT = TaskInfo("text", (TOKENS,), 4, vocabulary=VOCABULARY, padding=0)
VALUE = TaskInfo("value", (TOKENS,), 1, "value", vocabulary=VOCABULARY, padding=0)
PAIRS = TaskInfo("pairs", (TOKENS, Port("tokens", (6,))), VOCABULARY, "token", vocabulary=VOCABULARY, padding=0)
BOTH = TaskInfo("both", (Port("image", (3, 8, 8)), TOKENS), 3, vocabulary=VOCABULARY, padding=0)

READERS = [
    {"cell": cell, "direction": ways, "pool": pool, "layers": 2}
    for cell, ways, pool in product(("lstm", "gru", "rnn", "min_gru"), ("one", "two"), ("last", "mean"))
]
READERS += [{"cell": "lstm", "direction": "two", "pool": pool} for pool in ("max", "attention")]
TRIED: list[tuple[str, TaskInfo, Mapping[str, object]]] = [
    *(
        ("encoder:width=32,depth=1", task, {"order": order, "position": position})
        for task, order, position in (
            (TEXT, "pre", "learned"),
            (TEXT, "post", "alibi"),
            (VALUE, "pre", "rotary"),
            (VALUE, "post", "sinusoidal"),
        )
    ),
    ("decoder:scale=tiny", TEXT, {}),
    ("decoder:scale=tiny,extended=true", TEXT, {"position": "alibi", "kv_heads": 1}),
    ("seq2seq:width=32", PAIRS, {"order": "pre"}),
    ("seq2seq:width=32", PAIRS, {"order": "post"}),
    *(("two_tower:width=32", BOTH, {"fusion": way}) for way in ("concat", "sum", "gate", "cross")),
    *(("recurrent_stack:width=16", TEXT, reader) for reader in READERS),
]


def said(value: object) -> str:
    if isinstance(value, TaskInfo):
        return value.name
    return "/".join(map(str, value.values())) if isinstance(value, Mapping) else str(value)


def texts(lengths: tuple[int, ...]) -> Tensor:
    """Tokens (B, longest), padded after the shorter texts."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(1, VOCABULARY, (n,), generator=generator) for n in lengths]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def padded(x: Tensor) -> Tensor:
    return functional.pad(x, (0, LENGTH - x.shape[1]))


def exported(source: str) -> torch.nn.Module:
    """The network that an exported file defines."""
    module = types.ModuleType("exported")
    exec(compile(source, "model.py", "exec"), module.__dict__)
    network: torch.nn.Module = module.Network()
    return network


@pytest.mark.parametrize(("spec", "task", "decisions"), TRIED, ids=said)
def test_more_padding_changes_nothing(spec: str, task: TaskInfo, decisions: Mapping[str, object]) -> None:
    made = blueprint(build_space(registry, spec, task).architecture(decisions, fill=True), task, registry)
    network, alone = made.build().eval(), exported(standalone_source(made)).eval()
    alone.load_state_dict(network.state_dict())
    x = texts((7, 4, 1, 0))
    others = [torch.randn(len(x), *port.shape) if port.kind == "image" else texts((6, 3, 2, 5)) for port in task.inputs]

    def given(text: Tensor) -> list[Tensor]:
        place = task.inputs.index(TOKENS)
        return [*others[:place], text, *others[place + 1 :]]

    with torch.no_grad():
        for one in (network, alone):
            out, more = one(*given(x)), one(*given(padded(x)))
            assert torch.allclose(out, more, atol=1e-5), f"changed by {(out - more).abs().max():.3g}"
        single = network(*[tensor[:1] for tensor in given(x)])
    assert torch.allclose(single, out[:1], atol=1e-5), "a text that was not padded is read as in a padded batch"
    assert not torch.allclose(network(*given(x.clamp(min=1))), out, atol=1e-3), "words are no padding"


def test_without_padding_nothing_is_masked() -> None:
    for task in (TEXT, PAIRS):
        whole = TaskInfo(task.name, task.inputs, task.outputs, task.target, task.vocabulary)
        spec = "seq2seq:width=32" if task is PAIRS else "encoder:width=32"
        architecture = build_space(registry, spec, task).reference
        masked, plain = (blueprint(architecture, one, registry) for one in (task, whole))
        assert "mask" in masked.source
        assert "mask" not in plain.source
        assert masked.costs == plain.costs
        assert masked.build().state_dict().keys() == plain.build().state_dict().keys()


def made_of(nodes: Mapping[str, tuple[object, object]], output: str, task: TaskInfo) -> Architecture:
    names = [f"x{i}" for i in range(len(task.inputs))]
    return Space(graph(names, dict(nodes), output)).reference  # type: ignore[arg-type]


def test_a_mask_follows_its_sequence_and_no_other() -> None:
    b, two = registry.blocks, TaskInfo("two", (TOKENS, TOKENS), 3, vocabulary=VOCABULARY, padding=0)
    embed = b.embedding(vocabulary=VOCABULARY, features=8)
    start = {"one": (embed, "x0"), "other": (embed, "x1"), "head": (b.sequence_head(outputs=3), "wide")}
    for read, told in (("one", "mask=x0_mask"), ("other", "mask=x1_mask"), (["one", "other"], None)):
        join = b.add() if isinstance(read, list) else b.linear(features=6)
        first = {**start, "wide": (join, read)}
        if isinstance(read, str):  # the other input must be read, too
            other = "other" if read == "one" else "one"
            first["mean"] = (b.sequence_head(outputs=3, pool="first"), other)
            first["sum"] = (b.add(), ["head", "mean"])
        source = blueprint(made_of(first, "sum" if "sum" in first else "head", two), two, registry).source
        heard = next(line for line in source.splitlines() if "self.head(" in line)
        assert (told in heard) if told else ("mask" not in source), heard


def test_a_sequence_of_another_length_has_no_mask() -> None:
    b = registry.blocks
    embed = b.embedding(vocabulary=VOCABULARY, features=8)
    nodes = {"embed": (embed, "x0"), "half": (b.pool1d(size=2), "embed"), "head": (b.sequence_head(outputs=4), "half")}
    assert "mask" not in blueprint(made_of(nodes, "head", TEXT), TEXT, registry).source


POSITIONS_BY_THEMSELVES = {
    "pool1d", "conv1d", "separable_conv1d", "residual1d",  # windows that reach over the end: docs/tasks.md says so
    "flatten",  # it has a weight for every position
}  # fmt: skip


def sequence_blocks() -> list[str]:
    entries = registry.all("block")
    takes = (e.name for e in entries if "sequence" in e.details["signature"].ports[0])
    return sorted(name for name in takes if name not in POSITIONS_BY_THEMSELVES)


@pytest.mark.parametrize("name", sequence_blocks())
def test_a_block_that_takes_no_mask_needs_none(name: str) -> None:
    """What stands after a text does not change what it makes of the text; the kit tries those that take a mask."""
    block, cls = registry.blocks[name](), registry.get("block", name).load()
    if mask_word(cls):
        return
    ports = tuple(Port("sequence", (8, 16)) for _ in block.signature.ports)
    settled = settle(block, cls, ports, name)
    assert settled.output == Port("sequence", (8, settled.output.width)), f"{name} takes no mask and gives no sequence"
    torch.manual_seed(0)
    module = cls(**dict(settled.arguments)).eval()
    x = [torch.randn(2, 8, 16) for _ in ports]
    changed = [torch.cat([one[:, :5], torch.randn(2, 3, 16)], dim=1) for one in x]
    assert torch.allclose(module(*x)[:, :5], module(*changed)[:, :5], atol=1e-6)
