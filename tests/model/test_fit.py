"""Blocks that cannot take the widths that reach them are found before a search draws anything."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from torch import Tensor, nn

from nas.errors import CandidateError, SpaceError
from nas.model import blueprint
from nas.model.fit import check_blocks
from nas.plugin.registry import Blocks, Registrar, Registry
from nas.space.graph import Element, Graph, Parameter, chain, choice, graph, repeat
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space

TEXT = TaskInfo("text", (Port("tokens", (4,)),), 2, vocabulary=9)
IMAGE = TaskInfo("image", (Port("image", (3, 8, 8)),), 2)
HEADS_4_OF_30 = "cannot take sequence (L=4, D=30): expected heads that divide 30 features (1, 2, 3, 5, 6, 10, 15, 30)"

Make = Callable[[Blocks], Graph]


def net(b: Blocks, width: Parameter, layers: Element) -> Graph:
    words = b.embedding(vocabulary=TEXT.vocabulary, features=width)
    return chain(embed=words, encoder=layers, head=b.sequence_head(outputs=2))


def image_net(b: Blocks, **parts: Element) -> Graph:
    return chain(**parts, head=b.classifier(classes=2))


def found(graph: Graph, registry: Registry, task: TaskInfo = TEXT) -> tuple[str, ...]:
    return check_blocks(Space(graph, inputs=[port.kind for port in task.inputs]), task, registry)


REFUSED: dict[str, tuple[TaskInfo, Make, str, str]] = {
    "a layer": (
        TEXT,
        lambda b: net(b, 30, b.encoder_layer(heads=4)),
        f"encoder: block encoder_layer {HEADS_4_OF_30}",
        "got 4 heads; no architecture can be built",
    ),
    "a repeat": (
        TEXT,
        lambda b: net(b, 30, repeat(b.encoder_layer(heads=4), choice("depth", 1, 2), name="layer")),
        f"encoder/layer0: block encoder_layer {HEADS_4_OF_30}",
        "got 4 heads; no architecture can be built",
    ),
    "a repeat that may be empty": (
        TEXT,
        lambda b: net(b, 30, repeat(b.encoder_layer(heads=4), choice("depth", 0, 2), name="layer")),
        f"encoder/layer0: block encoder_layer {HEADS_4_OF_30}",
        "no architecture with depth=2 can be built, leave that option out",
    ),
    "an option in a graph in a graph": (
        TEXT,
        lambda b: net(b, 30, choice("body", none=b.identity(), one=chain(deep=chain(layer=b.encoder_layer(heads=4))))),
        f"encoder/deep/layer: block encoder_layer {HEADS_4_OF_30}",
        "no architecture with body=one can be built, leave that option out",
    ),
    "heads that divide no width": (
        TEXT,
        lambda b: net(b, choice("width", 32, 64), b.encoder_layer(heads=choice("heads", 2, 4, 5))),
        "encoder: block encoder_layer(heads=5) cannot take sequence (L=4, D=",
        "got 5 heads; no architecture with heads=5 can be built",
    ),
    "a width that no heads divide": (
        TEXT,
        lambda b: net(b, choice("width", 64, 30), b.encoder_layer(heads=choice("heads", 4, 8))),
        "cannot take sequence (L=4, D=30): expected heads that divide 30 features",
        "no architecture with width=30 can be built",
    ),
    "a width that no heads of many layers divide": (
        TEXT,
        lambda b: net(b, choice("width", 64, 30), repeat(b.encoder_layer(heads=choice("heads", 4, 8)), 12, tied=False)),
        "encoder/cell0: block encoder_layer",
        "no architecture with width=30 can be built",
    ),
    "groups": (
        IMAGE,
        lambda b: image_net(b, stem=b.conv(channels=16), grouped=b.conv(channels=24, groups=5)),
        "grouped: block conv(channels=24,groups=5) cannot take image (C=16, H=8, W=8): expected groups that divide 16",
        "got 5; no architecture can be built",
    ),
    "a sum": (
        IMAGE,
        lambda b: graph(
            ["x"],
            {
                "one": (b.conv(channels=choice("one", 16, 30)), "x"),
                "other": (b.conv(channels=16), "x"),
                "sum": (b.add(), ("one", "other")),
                "head": (b.classifier(classes=2), "sum"),
            },
            "head",
        ),
        "head adds values of one shape, got image (C=30, H=8, W=8) from one and image (C=16, H=8, W=8) from other",
        "no architecture with one=30 can be built",
    ),
    "outputs": (
        IMAGE,
        lambda b: chain(head=b.classifier(classes=choice("classes", 3, 5))),
        "task 'image' needs a vector (D=2) from the network, got vector (D=",
        "no architecture can be built",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_fits_nowhere_is_refused_with_the_place_and_what_would_fit(
    what: str, registry: Registry, b: Blocks
) -> None:
    task, make, place, why = REFUSED[what]
    with pytest.raises(SpaceError) as caught:
        found(make(b), registry, task)
    assert place in str(caught.value)
    assert why in str(caught.value)


def test_combinations_of_which_some_fit_are_told_with_an_example(registry: Registry, b: Blocks) -> None:
    (text,) = found(net(b, choice("width", 64, 30), b.encoder_layer(heads=choice("heads", 4, 5))), registry)
    assert text.startswith("encoder: block encoder_layer")
    assert ", with width=64 and heads=5; " in text or ", with width=30 and heads=4; " in text
    assert "tie the decisions by one label" in text


def test_a_rare_combination_is_found_where_its_parts_were_seen(registry: Registry, b: Blocks) -> None:
    (text,) = found(net(b, choice("width", 20, 40, 64), b.encoder_layer(heads=choice("heads", 2, 4, 8))), registry)
    assert "with width=20 and heads=8" in text


def test_an_option_that_fits_one_combination_in_a_million_is_not_refused(registry: Registry, b: Blocks) -> None:
    layer = b.encoder_layer(heads=choice("heads", 2, 4, 8, 5, 16))
    (text,) = found(net(b, choice("width", 30, 64), repeat(layer, 12, tied=False, name="layer")), registry)
    assert "one by one" in text


def grouped(b: Blocks, groups: tuple[int, ...], widths: tuple[int, ...]) -> Graph:
    layer = b.conv(channels=choice("wide", *widths), groups=choice("groups", *groups))
    return image_net(b, stem=b.conv(channels=16), body=repeat(layer, 6, tied=False))


def test_an_option_that_fits_only_in_later_copies_is_told(registry: Registry, b: Blocks) -> None:
    (text,) = found(grouped(b, (1, 4, 5), (16, 30)), registry, IMAGE)
    assert text.startswith("no architecture with body/cell0/groups=5 can be built: body/cell0: block conv(")
    with pytest.raises(SpaceError, match=r"no architecture with body/cell\d/groups=5 can be built"):
        found(grouped(b, (1, 4, 5), (16, 24)), registry, IMAGE)


def test_a_deep_space_of_which_hardly_anything_fits_is_not_refused(registry: Registry, b: Blocks) -> None:
    layer = b.conv(channels=choice("wide", 16, 24, 30, 20), groups=choice("groups", 5, 8, 4))
    (text,) = found(image_net(b, stem=b.conv(channels=16), body=repeat(layer, 12, tied=False)), registry, IMAGE)
    assert "cannot take image" in text


SILENT: dict[str, tuple[TaskInfo, Make]] = {
    "pairs": (
        TEXT,
        lambda b: chain(
            net=choice("size", small=net(b, 30, b.encoder_layer(heads=5)), large=net(b, 64, b.encoder_layer(heads=8)))
        ),
    ),
    "one label": (
        IMAGE,
        lambda b: image_net(
            b,
            stem=b.conv(channels=choice("wide", 16, 24)),
            depthwise=b.conv(channels=choice("wide", 16, 24), groups=choice("wide", 16, 24)),
        ),
    ),
    "what becomes too small in some": (
        IMAGE,
        lambda b: image_net(b, pool=repeat(b.pool2d(size=choice("size", 2, 3)), choice("times", 1, 2), tied=False)),
    ),
}


@pytest.mark.parametrize("what", SILENT)
def test_no_false_alarm(what: str, registry: Registry, b: Blocks) -> None:
    task, make = SILENT[what]
    assert found(make(b), registry, task) == ()


def test_an_image_that_is_too_small_for_an_option_is_told(registry: Registry, b: Blocks) -> None:
    (text,) = found(image_net(b, pool=repeat(b.pool2d(size=2), choice("depth", 1, 4), name="down")), registry, IMAGE)
    assert text.startswith("no architecture with depth=4 can be built: pool/down3: block pool2d")


def test_an_image_that_is_too_small_for_every_option_is_refused(registry: Registry, b: Blocks) -> None:
    with pytest.raises(SpaceError, match=r"pool/down3: block pool2d.*no architecture can be built"):
        found(image_net(b, pool=repeat(b.pool2d(size=2), choice("depth", 4, 5), name="down")), registry, IMAGE)


class Halves(nn.Module):
    """Cut in heads by its forward, which says nothing of what would fit."""

    def __init__(self, *, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, x.shape[2] // self.heads).flatten(2)


def test_a_block_whose_forward_refuses_is_found_too(registry: Registry, b: Blocks) -> None:
    registrar = Registrar("mine")
    registrar.block("halves", Halves, inputs=("sequence",), parameters={"heads": 2})
    registry.add(registrar.entries)
    with pytest.raises(SpaceError, match=r"encoder: block halves\(heads=7\).*no architecture with heads=7"):
        found(net(b, choice("width", 32, 64), b.halves(heads=choice("heads", 4, 7))), registry)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_said_of_small_spaces_is_what_enumeration_says(seed: int, registry: Registry, b: Blocks) -> None:
    rng = random.Random(seed)
    widths = rng.sample([12, 20, 24, 30, 32], rng.randint(1, 3))
    layer = b.encoder_layer(heads=choice("heads", *rng.sample([2, 3, 4, 5, 8], rng.randint(1, 3))))
    depths = rng.sample([0, 1, 2], rng.randint(1, 2))
    layers = repeat(layer, choice("depth", *depths), tied=rng.random() < 0.5)
    space = Space(net(b, choice("width", *widths), layers), inputs=["tokens"])
    works: set[tuple[str, object]] = set()
    reasons = []
    for made in space.enumerate():
        try:
            blueprint(made, TEXT, registry)
            works |= set(made.decisions.items())
        except CandidateError as error:
            reasons.append(str(error))
    open_ = {pair for made in space.enumerate() for pair in made.decisions.items()}
    dead = {f"{label}={option}" for label, option in open_ - works}
    try:
        told = check_blocks(space, TEXT, registry)
    except SpaceError as error:
        why, _, verdict = str(error).rpartition("; ")
        assert why in reasons
        assert dead
        if works:
            assert verdict.removeprefix("no architecture with ").partition(" ")[0] in dead
        else:
            assert verdict == "no architecture can be built"
    else:
        assert not dead
        if 0 not in depths:  # a layer that may not be there may not be seen with every width
            assert bool(told) == bool(reasons)
        assert all(text.partition(", with ")[0] in reasons for text in told)
