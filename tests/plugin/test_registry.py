"""Names are answered with the nearest; targets are imported at first use; options are refused by name."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

from nas.errors import ConfigError, PluginError, SpaceError, UnknownNameError
from nas.plugin.build import build_space, build_strategy
from nas.plugin.manager import create_manager
from nas.plugin.registry import Registrar, Registry, parse_spec
from nas.space.graph import Signature, chain
from nas.testing import IMAGE


@pytest.fixture
def registry() -> Registry:
    return create_manager().registry


def registered(register: Any) -> Registry:
    registrar, registry = Registrar("test"), Registry()
    register(registrar)
    registry.add(registrar.entries)
    return registry


def test_a_misspelt_name_is_answered_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownNameError) as caught:
        registry.get("space", "cel_cnn")
    assert str(caught.value).startswith("unknown space 'cel_cnn'; did you mean 'cell_cnn'? known: ")
    assert "macro_cnn" in str(caught.value)


def test_a_name_that_is_near_nothing_gets_the_list(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'zzz'; known: .*evolution.*random"):
        registry.get("strategy", "zzz")
    with pytest.raises(UnknownNameError, match="unknown space 'zzz'; known: none"):
        Registry().get("space", "zzz")


def test_an_unknown_name_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(UnknownNameError("space", "a", ["b", "ab"])))
    assert str(error) == str(UnknownNameError("space", "a", ["ab", "b"]))


def test_blocks_are_signatures_by_attribute_and_by_item(registry: Registry) -> None:
    blocks = registry.blocks
    assert isinstance(blocks.conv, Signature)
    assert blocks.conv == blocks["conv"]
    assert blocks.conv(kernel=5).params == (("kernel", 5),)
    assert {"conv", "identity", "classifier"} <= set(blocks)
    with pytest.raises(UnknownNameError, match="unknown block 'konv'; did you mean 'conv'"):
        _ = blocks.konv
    with pytest.raises(UnknownNameError, match="unknown parameter of block 'conv' 'kernal'; did you mean 'kernel'"):
        blocks.conv(kernal=3)
    assert not hasattr(blocks, "__deepcopy__")


def test_entries_come_by_name(registry: Registry) -> None:
    names = [entry.name for entry in registry.all("block")]
    assert names == sorted(names)


def test_a_target_is_imported_at_first_use() -> None:
    code = (
        "import sys\n"
        "from nas.plugin.manager import create_manager\n"
        "registry = create_manager().registry\n"
        "registry.blocks.conv(kernel=3)\n"
        "before = 'torch' in sys.modules\n"
        "registry.get('block', 'conv').load()\n"
        "print(before, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_module_of_this_name:Thing", "cannot import 'no_module_of_this_name:Thing': No module named"),
        ("math:no_such_attribute", "cannot import 'math:no_such_attribute': module 'math' has no attribute"),
    ],
)
def test_a_target_that_cannot_be_imported_names_its_owner(target: str, message: str) -> None:
    registry = registered(lambda r: r.strategy("lost", target))
    with pytest.raises(PluginError) as caught:
        registry.get("strategy", "lost").load()
    assert str(caught.value).startswith("strategy 'lost' of plugin 'test': ")
    assert message in str(caught.value)


@pytest.mark.parametrize("target", ["torch.nn.Identity", "a:b:c", ""])
def test_a_target_of_another_form_is_refused(target: str) -> None:
    with pytest.raises(PluginError, match=r"block 'b' of plugin 'test': expected a target 'module:attribute'"):
        Registrar("test").block("b", target)


def test_a_summary_is_given_or_the_first_line_of_the_docstring() -> None:
    def described() -> None:
        """One line.

        And more.
        """

    registry = registered(
        lambda r: (r.strategy("a", described), r.strategy("b", described, summary="b"), r.strategy("c", "m:f"))
    )
    assert [entry.summary for entry in registry.all("strategy")] == ["One line.", "b", ""]


def test_options_are_the_keyword_only_parameters() -> None:
    def strategy(fixed: int = 1, *, width: int = 3, depth: int) -> tuple[int, int]:
        return width, depth

    entry = registered(lambda r: r.strategy("s", strategy)).get("strategy", "s")
    assert list(entry.options()) == ["width", "depth"]
    assert entry.options()["width"] == 3
    assert entry.build(depth=2) == (3, 2)
    with pytest.raises(UnknownNameError, match="unknown option of strategy 's' 'widht'; did you mean 'width'"):
        entry.build(widht=3, depth=1)
    with pytest.raises(UnknownNameError, match="unknown option of strategy 's' 'fixed'"):
        entry.build(fixed=3, depth=1)


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("cell_cnn", "cell_cnn", {}),
        ("cell_cnn:", "cell_cnn", {}),
        ("cell_cnn:channels=16,cells=1", "cell_cnn", {"channels": 16, "cells": 1}),
        (" a : b = 1 , c = 2.5 ", "a", {"b": 1, "c": 2.5}),
        ("a:on=true,off=false", "a", {"on": True, "off": False}),
        ("a:norm=batch", "a", {"norm": "batch"}),
        ('a:text="3"', "a", {"text": "3"}),
        ("a:rate=1e-3", "a", {"rate": 0.001}),
        ("a:path=/tmp/some file.npz", "a", {"path": "/tmp/some file.npz"}),
        ("a:path=C:\\data.npz", "a", {"path": "C:\\data.npz"}),
        ("a:eq=x=y", "a", {"eq": "x=y"}),
        ("a:word", "a", {"": "word"}),
        ("a: 3 , c=1", "a", {"": 3, "c": 1}),
    ],
)
def test_a_spec_is_a_name_and_options(text: str, name: str, options: dict[str, Any]) -> None:
    found = parse_spec(text)
    assert found == (name, options)
    assert [type(v) for v in found[1].values()] == [type(v) for v in options.values()]


@pytest.mark.parametrize("text", ["a:b=1,c", "a:b,c", "a:=1", "a: =1"])
def test_a_spec_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected 'name:key=value,key=value', got"):
        parse_spec(text)


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="'channels'"):
        parse_spec("cell_cnn:channels=8,channels=16")


def test_a_space_is_built_for_the_task(registry: Registry) -> None:
    space = build_space(registry, "cell_cnn:channels=4", IMAGE)
    assert space.name == "cell_cnn:channels=4"
    assert space.size == 15_625
    (head,) = [node.op for node in space.reference.graph.nodes if node.name == "head"]
    assert ("classes", IMAGE.classes) in head.params  # type: ignore[union-attr]


def test_a_space_or_option_that_is_not_there_is_answered_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="unknown space 'cellcnn'; did you mean 'cell_cnn'"):
        build_space(registry, "cellcnn:channels=4", IMAGE)
    with pytest.raises(UnknownNameError, match="unknown option of space 'cell_cnn' 'chanels'; did you mean 'channels'"):
        build_space(registry, "cell_cnn:chanels=4", IMAGE)
    with pytest.raises(UnknownNameError, match="unknown option of strategy 'evolution' 'populaton'"):
        build_strategy(registry, "evolution:populaton=4")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda b, task: "a graph", "space 's' of plugin 'test': expected a Space or a Graph, got str"),
        (lambda b, task: 1 + "1", "space 's' of plugin 'test' with no options: unsupported operand"),
        (lambda b, task: chain(a=b.conv(), b=3), "space 's' of plugin 'test': b: expected a block"),
        (lambda b, task, *, n: chain(), "space 's' of plugin 'test' with no options: .*missing.*'n'"),
    ],
    ids=["type", "raises", "element", "missing"],
)
def test_a_space_that_cannot_be_made_names_its_owner(target: Any, message: str) -> None:
    registrar, registry = Registrar("test"), create_manager().registry
    registrar.space("s", target)
    registry.add(registrar.entries)
    with pytest.raises(SpaceError, match=message):
        build_space(registry, "s", IMAGE)


def test_a_space_of_an_unknown_block_is_answered_with_the_nearest(registry: Registry) -> None:
    registrar = Registrar("test")
    registrar.space("s", lambda b, task: chain(a=b.convv()))
    registry.add(registrar.entries)
    with pytest.raises(UnknownNameError, match="unknown block 'convv'; did you mean 'conv'"):
        build_space(registry, "s", IMAGE)


@pytest.mark.parametrize("direction", ["", "up", None])
def test_an_objective_needs_a_direction(direction: Any) -> None:
    with pytest.raises(PluginError, match="'odd' of plugin 'test': expected direction 'maximize' or 'minimize'"):
        registered(lambda r: r.objective("odd", "val_loss", direction=direction))


def test_a_bare_word_is_the_first_option() -> None:
    entry = registered(lambda r: r.strategy("s", lambda *, width=1, **more: (width, more))).get("strategy", "s")
    assert entry.build(**parse_spec("s:7,depth=2")[1]) == (7, {"depth": 2})
    with pytest.raises(ConfigError, match="strategy 's': expected option 'width' once, got 7 beside it"):
        entry.build(**parse_spec("s:7,width=2")[1])
    bare = registered(lambda r: r.strategy("s", lambda: None)).get("strategy", "s")
    with pytest.raises(ConfigError, match="strategy 's' takes no options, got 7"):
        bare.build(**parse_spec("s:7")[1])
