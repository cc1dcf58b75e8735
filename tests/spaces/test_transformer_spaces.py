"""The Transformer spaces: their sizes, what they refuse, and that their networks build, learn and leave."""

from __future__ import annotations

import random
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.errors import SpaceError
from nas.model import Blueprint, Exportable, blueprint, standalone_source
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.ports import Port, TaskInfo
from nas_plugins.pytorch.export import export

registry = create_manager().registry

IMAGE = TaskInfo("image", (Port("image", (3, 16, 16)),), 5)
TOKENS = TaskInfo("tokens", (Port("tokens", (10,)),), 4, vocabulary=20)
LANGUAGE = TaskInfo("language", (Port("tokens", (10,)),), 20, "token", vocabulary=20)
SEQUENCE = TaskInfo("sequence", (Port("sequence", (9, 6)),), 3)
VALUES = TaskInfo("values", (Port("sequence", (9, 6)),), 2, "value")
PAIRS = TaskInfo("pairs", (Port("tokens", (8,)), Port("tokens", (6,))), 20, "token", vocabulary=20)
IMAGE_TEXT = TaskInfo("image_text", (Port("image", (3, 16, 16)), Port("tokens", (10,))), 5, vocabulary=20)
FOUR = TaskInfo("four", (*IMAGE_TEXT.inputs, Port("sequence", (9, 6)), Port("vector", (7,))), 5, vocabulary=20)
VECTOR = TaskInfo("vector", (Port("vector", (7,)),), 5)
UNKNOWN_WORDS = TaskInfo("unknown_words", (Port("tokens", (10,)),), 4)
TASKS = (IMAGE, TOKENS, LANGUAGE, SEQUENCE, VALUES, PAIRS, IMAGE_TEXT, FOUR, VECTOR, UNKNOWN_WORDS)

TINY = {
    "encoder:width=32,depth=1": (TOKENS, LANGUAGE, SEQUENCE, VALUES),
    "decoder:scale=tiny": (TOKENS, LANGUAGE),
    "decoder:scale=tiny,extended=true,tied=true": (LANGUAGE,),
    "seq2seq:width=32": (PAIRS,),
    "vit:scale=micro": (IMAGE,),
    "conv_attention:channels=4,width=32": (IMAGE,),
    "two_tower:width=32": (IMAGE_TEXT, FOUR, PAIRS),
}
PAIRS_TO_CLASS = TaskInfo("pairs_to_class", PAIRS.inputs, 3, vocabulary=20)
TRIED = [(spec, PAIRS_TO_CLASS if "tower" in spec and t is PAIRS else t) for spec, tasks in TINY.items() for t in tasks]


def inputs(task: TaskInfo, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, task.vocabulary, (batch, *port.shape), generator=generator)
        if port.kind == "tokens"
        else torch.randn(batch, *port.shape, generator=generator)
        for port in task.inputs
    ]


def loss_of(task: TaskInfo, out: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if task.target == "value":
        return functional.mse_loss(out, torch.randn(out.shape, generator=generator))
    flat = out.flatten(0, -2)
    return functional.cross_entropy(flat, torch.randint(0, task.outputs, (len(flat),), generator=generator))


def learn(plan: Blueprint, task: TaskInfo, steps: int = 1) -> tuple[torch.nn.Module, list[float]]:
    torch.manual_seed(0)
    network, given = plan.build(), inputs(task)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps + 1):
        loss = loss_of(task, network(*given))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert torch.isfinite(weight.grad).all(), name
        optimizer.step()
    return network, losses


@pytest.mark.parametrize(
    ("spec", "task", "size"),
    [
        ("encoder", TOKENS, 6_480),
        ("decoder", LANGUAGE, 1_903_784_282_946),
        ("decoder:extended=true", LANGUAGE, 48 * 1_903_784_282_946),
        ("decoder:scale=tiny", TOKENS, 6 * (9**2 + 9**3 + 9**4)),
        ("seq2seq", PAIRS, 5_184),
        ("vit", IMAGE, 1_056_964_608),
        ("vit:scale=small", IMAGE, 3 * (9**12 + 9**13 + 9**14)),
        ("vit:scale=base", IMAGE, 3 * (9**14 + 9**15 + 9**16)),
        ("vit:scale=micro", IMAGE, 22_113),
        ("conv_attention", IMAGE, 55_728),
        ("two_tower", IMAGE_TEXT, 648),
        ("two_tower", FOUR, 3 * 4 * 6 * 9**2 * 3),
    ],
)
def test_size(spec: str, task: TaskInfo, size: int) -> None:
    assert build_space(registry, spec, task).size == size


@pytest.mark.parametrize(("spec", "task"), TRIED, ids=lambda v: v.name if isinstance(v, TaskInfo) else v)
def test_the_reference_builds_learns_and_stands_alone(spec: str, task: TaskInfo) -> None:
    plan = blueprint(build_space(registry, spec, task).reference, task, registry)
    plan.build_meta()
    network, losses = learn(plan, task)
    assert losses[1] < losses[0]
    alone = types.ModuleType("alone")
    exec(standalone_source(plan), alone.__dict__)
    copy = alone.Network()
    copy.load_state_dict(network.state_dict())
    torch.testing.assert_close(copy.eval()(*inputs(task)), network.eval()(*inputs(task)))


@pytest.mark.parametrize(("spec", "task"), TRIED, ids=lambda v: v.name if isinstance(v, TaskInfo) else v)
def test_samples_run(spec: str, task: TaskInfo) -> None:
    space, rng = build_space(registry, spec, task), random.Random(3)
    for _ in range(3):
        learn(blueprint(space.sample(rng), task, registry), task)


@pytest.mark.parametrize(("spec", "task"), TRIED, ids=lambda v: v.name if isinstance(v, TaskInfo) else v)
def test_one_other_decision_is_another_network(spec: str, task: TaskInfo) -> None:
    space = build_space(registry, spec, task)
    around = [space.reference.digest, *(other.digest for other in space.neighbours(space.reference))]
    assert len(set(around)) == len(around) > len(space.reference.decisions)


@pytest.mark.parametrize("name", ["encoder", "decoder", "seq2seq", "vit", "conv_attention", "two_tower"])
def test_a_task_of_another_kind_is_refused(name: str) -> None:
    takes = {task.name for spec, task in TRIED if spec.partition(":")[0] == name}
    refused = [task for task in TASKS if task.name not in takes]
    assert len(refused) >= 6
    for task in refused:
        with pytest.raises(SpaceError, match=r"takes|joins at least two"):
            build_space(registry, name, task)


@pytest.mark.parametrize(
    ("spec", "task", "said"),
    [
        ("encoder:width=48", TOKENS, "multiple of 32 as width, got 48"),
        ("seq2seq:width=24", PAIRS, "multiple of 16 as width, got 24"),
        ("conv_attention:width=40", IMAGE, "multiple of 16 as width, got 40"),
        ("two_tower:width=40", IMAGE_TEXT, "multiple of 16 as width, got 40"),
        ("decoder:scale=xl", LANGUAGE, "a scale among s, tiny, got 'xl'"),
        ("decoder:tied=true", TOKENS, "a tied one to tell a token"),
        ("vit:scale=xl", IMAGE, "a scale among micro, tiny, small, base, got 'xl'"),
        ("vit:patch=5", IMAGE, r"a patch that divides image .* \(1, 2, 4, 8, 16\), got 5"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_what_would(spec: str, task: TaskInfo, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        build_space(registry, spec, task)


@pytest.mark.parametrize(("side", "patches"), [(8, 16), (16, 64), (28, 196), (32, 64), (9, 81), (224, 64)])
def test_vit_cuts_images_into_patches_of_a_fitting_size(side: int, patches: int) -> None:
    task = TaskInfo("image", (Port("image", (1, side, side)),), 5)
    plan = blueprint(build_space(registry, "vit:scale=micro", task).reference, task, registry)
    assert plan.shapes["patches"].shape[0] == patches + 1


def test_the_tied_decoder_has_one_table() -> None:
    own, tied = (
        blueprint(build_space(registry, f"decoder:scale=tiny,tied={word}", LANGUAGE).reference, LANGUAGE, registry)
        for word in ("false", "true")
    )
    assert own.costs.params - tied.costs.params == 20 * 96
    network, _ = learn(tied, LANGUAGE)
    assert sum(p.numel() for p in network.parameters()) == tied.costs.params


def test_a_decoder_tells_no_token_from_those_after_it() -> None:
    torch.manual_seed(0)
    space, rng = build_space(registry, "decoder:scale=tiny,extended=true", LANGUAGE), random.Random(0)
    for _ in range(8):
        network = blueprint(space.sample(rng), LANGUAGE, registry).build().eval()
        (tokens,) = inputs(LANGUAGE)
        other = tokens.clone()
        other[:, 6:] = (other[:, 6:] + 1) % 20
        before, after = network(tokens), network(other)
        torch.testing.assert_close(before[:, :6], after[:, :6])
        assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_the_encoder_decoder_of_the_users_documents(tmp_path: Path) -> None:
    """An encoder-decoder Transformer with embeddings and learned positions: 256 wide, 8 heads, 2,048 between, ReLU."""
    space = build_space(registry, "seq2seq", PAIRS)
    said = {"width": 256, "encoder_depth": 1, "decoder_depth": 1, "heads": 8, "mlp_ratio": 8}
    said |= {"activation": "relu", "order": "post", "position": "learned"}
    architecture = space.architecture(said)
    plan = blueprint(architecture, PAIRS, registry)
    attention, mlp, norm = 4 * (256 * 256 + 256), 2 * 256 * 2048 + 2048 + 256, 2 * 256
    inside = (attention + mlp + 2 * norm) + (2 * attention + mlp + 3 * norm)
    assert plan.costs.params == inside + 2 * 20 * 256 + (8 + 6) * 256 + 257 * 20
    network, losses = learn(plan, PAIRS)
    assert losses[1] < losses[0]
    given = Exportable(architecture, plan, network.eval(), tuple(inputs(PAIRS)), {})
    assert {file.name for file in export(given, tmp_path / "best")} >= {"model.py", "weights.safetensors"}


@pytest.mark.slow
def test_seq2seq_learns_to_copy() -> None:
    """A target that repeats the source is told better than by chance, which needs the cross-attention."""
    task = TaskInfo("copy", (Port("tokens", (6,)), Port("tokens", (6,))), 10, "token", vocabulary=10)
    torch.manual_seed(0)
    network = blueprint(build_space(registry, "seq2seq:width=32", task).reference, task, registry).build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(250):
        source = torch.randint(1, 10, (64, 6), generator=generator)
        target = torch.cat([torch.zeros(64, 1, dtype=torch.int64), source[:, :-1]], dim=1)
        loss = functional.cross_entropy(network(source, target).flatten(0, 1), source.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.0  # by chance 2.2
