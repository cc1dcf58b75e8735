"""Pictures: nothing is left out, nothing overlaps, files are written; what they look like was looked at."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import nas
from nas.cli.main import main
from nas.errors import CandidateError, ConfigError
from nas.model import blueprint
from nas.plugin.build import build_space
from nas.plugin.manager import create_manager
from nas.space.digest import digest
from nas.space.flat import flatten
from nas.space.graph import chain, choice, dense_cell, graph, repeat
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas.train.task import open_task
from nas_plugins.draw import render
from nas_plugins.draw.build import Builder
from nas_plugins.draw.layers import Size, layered
from nas_plugins.draw.layout import Placed, arrange
from nas_plugins.draw.picture import Box, Edge, Inside, Line, Picture
from nas_plugins.draw.pictures import draw_network, draw_space
from nas_plugins.draw.prune import prune
from nas_plugins.draw.render import write

registry = create_manager().registry
b = registry.blocks
DIGITS = TaskInfo("digits", (Port("image", (1, 8, 8)),), 10)
SERIES = TaskInfo("series", (Port("sequence", (20, 3)),), 4)


def measure(text: str, style: str) -> float:
    return 4.0 * len(text)


def boxes(inside: Inside) -> list[Box]:
    return [box for outer in inside.boxes for box in (outer, *(boxes(outer.inside) if outer.inside else ()))]


def texts(picture: Picture) -> list[str]:
    return [text for box in picture.network.boxes for text in box.texts()]


# ---- layers and places ------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> Inside:
    """A random graph of boxes of random sizes, each with inputs among those before it."""
    count = draw(st.integers(1, 12))
    names = [f"b{i}" for i in range(count)]
    made, edges = [], []
    for i, name in enumerate(names):
        sources = draw(st.lists(st.sampled_from(["x", *names[:i]]), min_size=1, max_size=4, unique=True))
        edges += [Edge(source, name, port) for port, source in enumerate(sources)]
        lines = tuple(Line("w" * draw(st.integers(1, 20))) for _ in range(draw(st.integers(1, 30))))
        made.append(Box(name, "block", lines))
    return Inside(("x",), tuple(made), tuple(edges), names[-1])


def overlap(one: Placed, other: Placed) -> bool:
    apart_x = one.x + one.size.w <= other.x or other.x + other.size.w <= one.x
    apart_y = one.y + one.size.h <= other.y or other.y + other.size.h <= one.y
    return not (apart_x or apart_y)


def through(placed: Placed, start: tuple[float, float], end: tuple[float, float]) -> bool:
    """Whether an upright or level stretch goes through the middle of a box."""
    left, right = sorted((start[0], end[0]))
    high, low = sorted((start[1], end[1]))
    inside_x = right > placed.x + 1 and left < placed.x + placed.size.w - 1
    inside_y = low > placed.y + 1 and high < placed.y + placed.size.h - 1
    return inside_x and inside_y


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 3))
def test_boxes_never_overlap_and_wires_go_around_them(inside: Inside, most: int) -> None:
    sheet = arrange(inside, measure, most)
    assert {placed.box.name for placed in sheet.placed} == {box.name for box in inside.boxes}
    for one, other in combinations(sheet.placed, 2):
        assert not overlap(one, other), (one.box.name, other.box.name)
    for placed in sheet.placed:
        assert placed.x >= -1e-6
        assert placed.x + placed.size.w <= sheet.size.w + 1e-6
        assert placed.y + placed.size.h <= sheet.size.h + 1e-6
    assert len(sheet.wires) == len(inside.edges) + 1
    for wire in sheet.wires:
        for start, end in pairwise(wire.points):
            if start[0] == end[0] or start[1] == end[1]:
                assert not any(through(placed, start, end) for placed in sheet.placed)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_edge_goes_down(inside: Inside) -> None:
    names: dict[Any, Size] = {"x": Size(1, 0)} | {box.name: Size(10, 10) for box in inside.boxes}
    edges = [(edge.source, edge.target) for edge in inside.edges]
    plan = layered(names | {"out": Size(1, 0)}, [*edges, (inside.output, "out")], "out")
    row = {name: number for number, names in enumerate(plan.rows) for name in names}
    assert all(row[source] < row[target] for source, target in edges)
    assert all(row[name] < row["out"] for name in names)
    for (source, target), points in plan.waypoints.items():
        assert [row[point] for point in points] == list(range(row[source] + 1, row[target]))


def test_long_chains_go_on_in_columns() -> None:
    lines = tuple(Line("w" * 10) for _ in range(4))
    made = tuple(Box(f"b{i}", "block", lines) for i in range(20))
    edges = tuple(Edge(one, other) for one, other in pairwise(["x", *(box.name for box in made)]))
    sheet = arrange(Inside(("x",), made, edges, "b19"), measure)
    columns = Counter(round(placed.x) for placed in sheet.placed)
    assert 3 <= len(columns) <= 6
    assert 0.7 < sheet.size.w / sheet.size.h < 3
    short = arrange(Inside(("x",), made[:4], edges[:4], "b3"), measure)
    assert len({placed.x for placed in short.placed}) == 1


# ---- what a picture says ----------------------------------------------------------------------------------------


def test_choices_are_named_with_their_options() -> None:
    blocks = {"none": b.zero(), "conv": b.conv(kernel=choice("kernel", 3, 5)), "pool": b.avg_pool()}
    net = chain(
        stem=b.conv(channels=choice("stem/width", 8, 16)),
        body=repeat(choice("kind", **blocks), choice("depth", 1, 2), tied=False),
        head=b.classifier(),
    )
    said = texts(draw_space(Space(net), DIGITS))
    assert "channels by stem/width: 8 | 16" in said
    assert {"choose kind", "none: zero", "conv", "pool: avg_pool", "kernel: 3 | 5"} <= set(said)
    assert "× depth: 1 | 2, each decides for itself" in said
    assert said[:2] == ["input", "image (C=1, H=8, W=8)"]
    assert said[-1] == "vector (D=10)"


def test_choice_of_inputs_is_dashed_and_named() -> None:
    nodes = {"one": (b.conv(), "x"), "two": (b.avg_pool(), "x")}
    net = graph(["x"], nodes | {"sum": (b.add(), nas.subset("which", ["x", "one", "two"], 2))}, "sum")
    inside = draw_space(Space(net), DIGITS).network
    assert {(edge.source, edge.maybe) for edge in inside.edges if edge.target == "sum"} == {
        ("in x", True),
        ("one", True),
        ("two", True),
    }
    assert "inputs: x+one | x+two | one+two" in [text for box in inside.boxes for text in box.texts()]


@pytest.mark.parametrize(
    ("spec", "task", "name", "line"),
    [
        ("seq2seq", "toy_reverse", "decoder", "x from to, memory from memory"),
        ("two_tower", "digit_views", "fusion", "from image0_tower, sequence1_tower"),
    ],
)
def test_a_choice_says_which_of_its_inputs_is_which(spec: str, task: str, name: str, line: str) -> None:
    space = build_space(registry, spec, open_task(registry, task).info)
    (box,) = (box for box in Builder().inside(space.graph).boxes if box.name == name)
    assert line in box.texts()


def test_options_that_share_their_nodes_lie_over_one_another() -> None:
    def pair(*names: str) -> nas.Graph:
        nodes = {f"from_{name}": (b.conv(), name) for name in names}
        return graph(["p", "q", "r"], nodes | {"sum": (b.add(), tuple(nodes))}, "sum")

    options = {"pq": pair("p", "q"), "pr": pair("p", "r")}
    net = graph(["p", "q", "r"], {"node": (choice("pairs", **options), ("p", "q", "r"))}, "node")
    space = Space(net, inputs=["image"] * 3)
    task = TaskInfo("three", (Port("image", (1, 8, 8)),) * 3, 10)
    (node,) = [box for box in draw_space(space, task).network.boxes if box.name == "node"]
    assert node.inside is not None
    assert {box.name for box in node.inside.boxes} == {"from_p", "from_q", "from_r", "sum"}
    dashed = {edge.source: edge.maybe for edge in node.inside.edges if edge.target == "sum"}
    assert dashed == {"from_p": False, "from_q": True, "from_r": True}


def test_what_stands_there_twice_is_drawn_once() -> None:
    cell = dense_cell(3, lambda i, j: choice(f"edge{i}{j}", b.conv(), b.avg_pool()), join=b.add())
    net = chain(stem=b.conv(), stage1=repeat(cell, 3), down=b.reduction(), stage2=repeat(cell, 3), head=b.classifier())
    picture = draw_space(Space(net), DIGITS)
    first, second = (box for box in picture.network.boxes if box.name.startswith("stage"))
    assert first.size > 5
    assert first.times == second.times == "× 3"
    assert "as stage1" in list(second.texts())
    assert second.inside is None


def test_layers_that_decide_for_themselves_stay_apart() -> None:
    def layer(i: int) -> nas.Graph:
        return chain(linear=b.linear(features=choice(f"layer{i}/width", 8, 16)), act=b.activation())

    net = chain(flat=b.flatten(), one=layer(1), two=layer(2), head=b.linear(features=10))
    said = texts(draw_space(Space(net), DIGITS))
    assert not any(text.startswith("×") for text in said)
    assert {"features by layer1/width: 8 | 16", "features by layer2/width: 8 | 16"} <= set(said)


SPACES = [
    "cell_cnn",
    "macro_cnn",
    "nas_bench_201",
    "resnet",
    "mobilenet",
    "plain_cnn",
    "darts",
    "nas_bench_macro",
    "vit",
]


@pytest.mark.parametrize("name", SPACES)
def test_every_decision_of_a_space_is_in_its_picture(name: str) -> None:
    space = build_space(registry, name, DIGITS)
    picture = draw_space(space, DIGITS)
    drawn = {label for box in boxes(picture.network) for label in box.decides}
    labels = {re.sub(r".*(block|layer)\d+/", "", d.label) for d in space.decisions if "/layer" in d.label}
    assert {d.label for d in space.decisions if "/layer" not in d.label} | labels <= drawn
    assert f"{len(space.decisions)} decisions, {space.size:,} architectures" in picture.facts


# ---- the network of a trial -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["cell_cnn:cells=2", "nas_bench_101:vertices=5,cells=1", "darts:cells=4", "resnet"])
def test_pruned_graphs_are_the_same_network(spec: str) -> None:
    space, rng = build_space(registry, spec, DIGITS), random.Random(0)
    smaller = 0
    for _ in range(40):
        architecture = space.sample(rng)
        pruned = prune(architecture.graph)
        assert digest(pruned) == architecture.digest
        paths = {term.path for term in flatten(pruned, simplify=False).terms}
        assert {term.path for term in flatten(architecture.graph).terms} <= paths
        smaller += len(paths) < len(flatten(architecture.graph, simplify=False).terms)
    assert smaller or spec == "resnet"


def learned(inside: Inside, times: int = 1) -> int:
    """All parameters that a picture tells, as often as their boxes stand there."""
    total = 0
    for box in inside.boxes:
        count = int(box.times.removeprefix("× ") or 1)
        said = [line.text for line in box.lines if line.text.endswith(" parameters")]
        if box.inside and not said:
            total += learned(box.inside, times * count)
        total += sum(int(text.split()[0].replace(",", "")) for text in said) * count * times
    return total


@pytest.mark.parametrize(
    ("spec", "task"),
    [("nas_bench_201:channels=4,cells=3", DIGITS), ("darts:channels=4", DIGITS), ("recurrent_cell", SERIES)],
)
def test_parameters_in_the_picture_add_up(spec: str, task: TaskInfo) -> None:
    space, rng = build_space(registry, spec, task), random.Random(1)
    compared = 0
    while compared < 5:
        architecture = space.sample(rng)
        try:
            costs = blueprint(architecture, task, registry).costs
        except CandidateError:
            continue
        assert learned(draw_network(architecture, task, registry).network) == costs.params
        compared += 1


def test_network_tells_shapes_and_decisions() -> None:
    space = build_space(registry, "cell_cnn:channels=8", DIGITS)
    picture = draw_network(space.reference, DIGITS, registry, "best")
    assert "8 × 8 × 8" in texts(picture)
    assert "edge01 = conv3x3" in picture.notes
    assert space.reference.digest in picture.facts
    names = {box.name for box in boxes(picture.network)}
    assert {"edge01", "edge13"} <= names
    assert not {"edge02", "edge03", "edge12"} & names


# ---- files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def picture() -> Picture:
    return draw_space(build_space(registry, "cell_cnn", DIGITS), DIGITS, "A cell.")


@pytest.mark.parametrize(("suffix", "starts"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_suffix_says_what_is_written(suffix: str, starts: bytes, picture: Picture, tmp_path: Path) -> None:
    file = tmp_path / f"cell{suffix}"
    write(picture, file)
    assert file.read_bytes().startswith(starts)


def test_svg_is_the_same_every_time_and_holds_the_text(picture: Picture, tmp_path: Path) -> None:
    write(picture, tmp_path / "one.svg")
    write(picture, tmp_path / "two.svg")
    svg = (tmp_path / "one.svg").read_text()
    assert svg == (tmp_path / "two.svg").read_text()
    assert all(f"<!-- {text} -->" in svg for text in ("cell_cnn", "choose edge01", "reduction"))


def test_other_suffix_and_missing_matplotlib_are_refused(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"expected a file ending in \.svg, \.png, \.pdf, got .*cell\.gif"):
        write(picture, tmp_path / "cell.gif")
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"matplotlib is not installed; pip install 'graphnas\[plots\]'"):
        write(picture, tmp_path / "cell.svg")


def test_colours_are_of_names() -> None:
    usual = ["conv", "mbconv", "reduction", "classifier", "linear", "lstm", "avg_pool", "max_pool", "identity"]
    assert len({render.colour_of(name) for name in usual}) == len(usual)
    assert render.colour_of("") == "#ffffff"


def test_draw_command(tmp_path: Path) -> None:
    def run(*arguments: object, code: int = 0) -> str:
        found = CliRunner().invoke(main, ["draw", *map(str, arguments)])
        assert found.exit_code == code, found.output
        return found.output

    nas.search("cell_cnn:channels=4", "digits", trials=1, epochs=1, runner="local", out=tmp_path / "run")
    for what, file in (("macro_cnn:stages=2", "space.svg"), (tmp_path / "run", "best.svg")):
        assert run(what, "--to", tmp_path / file).strip() == str(tmp_path / file)
    run(tmp_path / "run", "--trial", 0, "--to", tmp_path / "trial.svg")
    assert (tmp_path / "trial.svg").read_text() == (tmp_path / "best.svg").read_text()
    assert "there is no trial 7; it has 1 trials" in run(
        tmp_path / "run", "--trial", 7, "--to", tmp_path / "x.svg", code=2
    )
    assert "--trial asks for the folder of a run" in run("cell_cnn", "--trial", 1, "--to", tmp_path / "x.svg", code=2)
    run("seq2seq", "--to", tmp_path / "pairs.svg")
    assert "tokens (L=11)" in (tmp_path / "pairs.svg").read_text(), "for the first built-in task that fits"
    assert "give a multiple of 16 as width, got 24" in run("seq2seq:width=24", "--to", tmp_path / "x.svg", code=2)
    assert "got image" in run("seq2seq", "--task", "digits", "--to", tmp_path / "x.svg", code=2)
    assert "did you mean 'cell_cnn'?" in run("cell_cn", "--to", tmp_path / "x.svg", code=2)
