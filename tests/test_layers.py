"""The house rules that an import can break: layers point down, nothing circles, the core knows nothing by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import get_args

import networkx as nx
import pytest

from nas.model.count import Costs
from nas.plugin.manager import create_manager
from nas.plugin.registry import EntryKind
from nas.space.graph import Role
from nas.space.ports import KINDS

ROOT = Path(__file__).parents[1]
FOLDERS = {"nas": ROOT / "nas", "nas_plugins": ROOT / "plugins", "nas_search_spaces": ROOT / "search_spaces"}

BELOW: dict[str, frozenset[str]] = {}
"""Part of `nas` -> the parts it may import; `plugin` stands beside `controller`."""
for _part, _next in {
    "errors": (),
    "space": ("errors",),
    "storage": ("errors",),
    "controller": ("space", "storage"),
    "plugin": ("space",),
    "config": ("plugin",),
    "model": ("controller", "plugin"),
    "train": ("model",),
    "runner": ("train", "config"),
    "parts": ("train", "config"),
    "record": ("parts",),
    "running": ("runner", "parts"),
    "api": ("running", "record"),
    "": ("api",),
    "cli": ("",),
    "testing": ("cli",),
}.items():
    BELOW[_part] = frozenset({_part, *_next}).union(*(BELOW[below] for below in _next))

TORCH = {"space", "storage", "controller", "plugin", "config", "errors"}
"""Parts that never import torch, ray or, but for the controller's ledger, optuna."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the three packages, by its dotted name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, typing: bool = False, lazy: bool = True) -> Iterator[str]:
    """The modules that a file imports: with those for type checkers, without those inside functions, as asked."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not typing:
                continue
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not lazy:
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                home = absolute(child, path)
                whole = [f"{home}.{alias.name}" for alias in child.names]
                yield from (name if name in modules() else home for name in whole)
            yield from walk(child)

    return walk(ast.parse(path.read_text()))


def absolute(node: ast.ImportFrom, path: Path) -> str:
    """The module that ``from .x import y`` names in this file."""
    if not node.level:
        return node.module or ""
    (name,) = [name for name, known in modules().items() if known == path]
    assert name.split(".")[0] != "nas", f"{path}: a relative import hides the layer it points to"
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def part(module: str) -> str:
    """`nas.model.compile` -> model; `nas` itself is the empty part."""
    return (*module.split("."), "")[1]


@pytest.mark.parametrize("name", [name for name in modules() if name.split(".")[0] == "nas"])
def test_imports_point_down(name: str) -> None:
    path = modules()[name]
    assert part(name) in BELOW, f"{path}: which layer is {part(name)!r}? say so in {__file__}"
    typing = part(name) != "plugin"  # a hook's signature names the history and the command line that it gets
    for other in imports(path, typing=typing and name != "nas"):
        top = other.split(".")[0]
        assert top not in ("nas_plugins", "nas_search_spaces"), f"{path} imports {other}: nas/ imports no plugin"
        if top == "nas":
            assert part(other) in BELOW[part(name)], f"{path} imports {other}: layers point down"


@pytest.mark.parametrize("name", [name for name in modules() if part(name) in TORCH and name != "nas"])
def test_the_lower_layers_know_neither_torch_nor_ray(name: str) -> None:
    if name.split(".")[0] == "nas":
        heavy = {other.split(".")[0] for other in imports(modules()[name])} & {"torch", "ray"}
        assert not heavy, f"{modules()[name]} imports {heavy}"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("nas_")])
def test_plugins_do_not_import_one_another(name: str) -> None:
    own = ".".join(name.split(".")[:2])
    for other in imports(modules()[name], typing=True):
        if other.split(".")[0] in FOLDERS and other.split(".")[0] != "nas":
            theirs = ".".join(other.split(".")[:2])
            assert theirs == own, f"{modules()[name]} imports {other}: what plugins share belongs into nas/"


def test_search_spaces_import_no_torch() -> None:
    for name, path in modules().items():
        if name.startswith("nas_search_spaces"):
            heavy = {other.split(".")[0] for other in imports(path, typing=True)} & {"torch", "ray", "optuna"}
            assert not heavy, f"{path} imports {heavy}"


@pytest.mark.parametrize("lazy", [False, True], ids=["when loaded", "ever"])
def test_no_imports_circle(lazy: bool) -> None:
    flow = nx.DiGraph()
    for name, path in modules().items():
        flow.add_edges_from((name, other) for other in imports(path, lazy=lazy) if other in modules())
    # `import nas` gives names that it fetches when they are used; a module that uses it circles only by then.
    flow.remove_edges_from([(a, b) for a, b in flow.edges if b == "nas"])
    circles = [sorted(circle) for circle in nx.strongly_connected_components(flow) if len(circle) > 1]
    assert circles == []


def decisive(path: Path) -> Iterator[ast.Constant]:
    """Every string on which behaviour may turn: what is compared, matched, or handed to a function.

    A default is none: somewhere it must say what a user gets who asks for nothing. Nor is a key of a dictionary.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        found: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            found = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            found = [node.value]
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            is_key = called in ("get", "pop", "setdefault") and len(node.args) == 1
            found = [*node.args[is_key:]]
            found += [keyword.value for keyword in node.keywords if keyword.arg != "default"]
        for part_ in found:
            parts = part_.elts if isinstance(part_, (ast.Tuple, ast.List, ast.Set)) else [part_]
            yield from (p for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str))


def test_the_core_knows_no_plugin_by_name() -> None:
    registry = create_manager().registry
    named = {
        entry.name: f"{entry.kind} of plugin {entry.owner!r}"
        for kind in get_args(EntryKind)
        if kind != "objective"  # an objective bears the name of the metric that training reports
        for entry in registry.all(kind)
    }
    ours = {*get_args(Role), *KINDS, *(cost.name for cost in fields(Costs))}  # words of the core itself
    ours.add("auto")  # what an option says that is left to us, and the name of the strategy that is left to us
    found = [
        f"{path.relative_to(ROOT)}:{text.lineno}: {text.value!r} is a {named[name]}"
        for module, path in modules().items()
        if module.split(".")[0] == "nas"
        for text in decisive(path)
        if (name := text.value.partition(":")[0]) in named and name not in ours
    ]
    assert not found, "behaviour lives with the component, the core knows no names:\n" + "\n".join(found)


def test_a_name_that_decides_is_found(tmp_path: Path) -> None:
    lines = [
        "if space == 'cell_cnn': pass",
        "if space in ('cell_cnn', 'x'): pass",
        "registry.get('space', 'cell_cnn')",
        "build(space='cell_cnn')",
        "def f(space='cell_cnn'): 'cell_cnn'",
        "option(default='cell_cnn')",
        "data['cell_cnn'] = {'cell_cnn': data.get('cell_cnn')}",
    ]
    (tmp_path / "some.py").write_text("\n".join(lines))
    assert [text.lineno for text in decisive(tmp_path / "some.py") if text.value == "cell_cnn"] == [1, 2, 3, 4]
