"""Taking classes and functions out of the files they stand in, with all of the file that they use and no more."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from nas.errors import ExportError
from nas.model.names import unused

Origin = tuple[str, str]
"""What a name stands for: (module, name) of a definition, or ("import", what is imported)."""


class Extract:
    """Source that grows by what is added to it; two things that have one name in their files get two here."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._origins: dict[str, Origin] = {name: ("reserved", name) for name in reserved}
        self._imports: set[str] = set()
        self._files: dict[str, _File] = {}

    def bring(self, *statements: str) -> None:
        """Import statements that are needed whatever is added."""
        for statement in statements:
            (node,) = ast.parse(statement).body
            assert isinstance(node, (ast.Import, ast.ImportFrom))
            for imported in _imported(node):
                self._origins[imported.name] = ("import", imported.what)
                self._imports.add(imported.text(imported.name))

    def add(self, thing: type | Callable[..., Any], name: str) -> None:
        """`thing`, under `name`, and whatever of its file it uses.

        Raises ExportError when its source cannot be found, or needs more than PyTorch and the standard library.
        """
        if thing.__module__.partition(".")[0] == "torch":
            self._add_torch(thing, name)
            return
        file = self._files.get(thing.__module__)
        if file is None:
            file = self._files[thing.__module__] = _read(thing)
        if thing.__name__ not in file.bindings or getattr(file.module, thing.__name__, None) is not thing:
            raise ExportError(f"{_title(thing)} is not defined at the top of its file; define it there")
        self._origins[name] = (thing.__module__, thing.__name__)
        file.renamed[thing.__name__] = name
        self._need(file, thing.__name__, _title(thing))

    def imports(self) -> str:
        """All import statements: those of the standard library before those of PyTorch, each group sorted."""
        groups: list[list[str]] = [["from __future__ import annotations"], [], []]
        names: dict[str, list[str]] = {}
        for statement in sorted(self._imports):
            before, found, name = statement.partition(" import ")
            if found:
                names.setdefault(before, []).append(name)
            else:
                groups[1 + _is_torch(statement)].append(statement)
        for before, imported in names.items():
            groups[1 + _is_torch(before)].append(f"{before} import {', '.join(imported)}")
        return "\n\n".join("\n".join(group) for group in groups if group)

    def definitions(self) -> Iterator[str]:
        """The source of what was added, file after file, each in its own order."""
        for file in self._files.values():
            for statement in file.statements:
                if id(statement) in file.needed and not isinstance(statement, (ast.Import, ast.ImportFrom)):
                    yield file.text(statement)

    def _add_torch(self, thing: type | Callable[..., Any], name: str) -> None:
        module = "torch.nn" if hasattr(sys.modules["torch.nn"], thing.__name__) else thing.__module__
        imported = _Imported(name, module, thing.__name__)
        self._origins[name] = ("import", imported.what)
        self._imports.add(imported.text(name))

    def _need(self, file: _File, name: str, why: str) -> None:
        """Everything that binds `name` in `file`, and what that uses."""
        for statement in file.bindings[name]:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                self._need_import(file, statement, name, why)
            elif id(statement) not in file.needed:
                file.needed.add(id(statement))
                _check_inner_imports(statement, why)
                for used in _names(statement):
                    if used in file.bindings:
                        self._settle(file, used)
                        self._need(file, used, why)

    def _settle(self, file: _File, name: str) -> None:
        """Gives a definition of `file` a name that nothing else has here."""
        if name not in file.renamed and not file.imports(name):
            file.renamed[name] = given = unused(name, self._origins)
            self._origins[given] = (file.module.__name__, name)

    def _need_import(self, file: _File, statement: ast.Import | ast.ImportFrom, name: str, why: str) -> None:
        for imported in _imported(statement):
            if imported.name != name:
                continue
            _check_import(imported, why)
            if name not in file.renamed:
                held = self._origins.get(name) in (None, ("import", imported.what))
                file.renamed[name] = name if held else unused(name, self._origins)
            self._origins[file.renamed[name]] = ("import", imported.what)
            self._imports.add(imported.text(file.renamed[name]))


def _check_import(imported: _Imported, why: str) -> None:
    root = imported.module.partition(".")[0]
    if root != "torch" and root not in sys.stdlib_module_names:
        raise ExportError(
            f"{why} uses {imported.name!r} of {imported.module or 'a relative import'}, and an exported model may "
            "import only torch and the standard library; define what it needs in the block's own file"
        )


def _check_inner_imports(statement: ast.stmt, why: str) -> None:
    """Imports inside functions travel with their source, if they may."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for imported in _imported(node):
                _check_import(imported, why)


def _is_torch(statement: str) -> bool:
    return statement.split()[1].partition(".")[0] == "torch"


@dataclass(frozen=True, slots=True)
class _Imported:
    """One imported name: ``from module import attribute as name``, or ``import module`` where there is no attribute."""

    name: str
    module: str
    attribute: str = ""

    @property
    def what(self) -> str:
        return f"{self.module}.{self.attribute}" if self.attribute else self.module.partition(".")[0]

    def text(self, name: str) -> str:
        if self.attribute:
            return f"from {self.module} import {self.attribute}" + (f" as {name}" if name != self.attribute else "")
        return f"import {self.module}" + (f" as {name}" if name != self.module.partition(".")[0] else "")


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[_Imported]:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            module = "" if node.level else node.module or ""
            yield _Imported(alias.asname or alias.name, module, alias.name)
        elif alias.asname and "." in alias.name:
            module, _, attribute = alias.name.rpartition(".")
            yield _Imported(alias.asname, module, attribute)
        else:
            yield _Imported(alias.asname or alias.name.partition(".")[0], alias.name)


@dataclass
class _File:
    """A source file: its top statements, which of them bind each name, and what of it is needed so far."""

    module: ModuleType
    lines: list[str]
    statements: list[ast.stmt]
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    needed: set[int] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def imports(self, name: str) -> bool:
        """Whether `name` is imported in this file."""
        return all(isinstance(statement, (ast.Import, ast.ImportFrom)) for statement in self.bindings[name])

    def text(self, statement: ast.stmt) -> str:
        """The source of a statement with its comments and the text that documents it, its names as they are here."""
        first = min(node.lineno for node in [statement, *getattr(statement, "decorator_list", [])]) - 1
        last = statement.end_lineno or statement.lineno
        lines = self.lines[: self._documented(statement) or last]
        new = {old: given for old, given in self.renamed.items() if old != given}
        for line, column, old in sorted(_places(statement, new, self.lines), reverse=True):
            raw = lines[line - 1].encode()
            lines[line - 1] = (raw[:column] + new[old].encode() + raw[column + len(old.encode()) :]).decode()
        while first and lines[first - 1].startswith("#"):
            first -= 1
        return "\n".join(lines[first:])

    def _documented(self, statement: ast.stmt) -> int | None:
        """The last line of the string that follows a constant and documents it."""
        position = self.statements.index(statement) + 1
        after = self.statements[position] if position < len(self.statements) else None
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or not isinstance(after, ast.Expr):
            return None
        is_text = isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
        return after.end_lineno if is_text else None


def _read(thing: type | Callable[..., Any]) -> _File:
    module = sys.modules.get(thing.__module__)
    try:
        source = inspect.getsource(module)  # type: ignore[arg-type]
    except (OSError, TypeError) as error:
        raise ExportError(f"the source of {_title(thing)} cannot be found; define it in a file") from error
    file = _File(module, source.splitlines(), ast.parse(source).body)  # type: ignore[arg-type]
    for statement in file.statements:
        for name in _bound(statement):
            file.bindings.setdefault(name, []).append(statement)
    return file


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a top statement binds or changes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from {imported.name for imported in _imported(statement)}
    elif isinstance(statement, ast.Expr):
        if isinstance(statement.value, ast.Call) and isinstance(statement.value.func, ast.Attribute):
            yield from _base(statement.value.func)
    elif not (isinstance(statement, ast.If) and "TYPE_CHECKING" in _names(statement.test)):
        yield from dict.fromkeys(name for node in ast.walk(statement) for name in _changed(node))


def _changed(node: ast.AST) -> Iterator[str]:
    """Names that a part of an assignment, an `if` or a `try` binds or changes."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
        yield from _base(node)


def _base(node: ast.expr) -> Iterator[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _names(node: ast.AST) -> list[str]:
    return list(dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name)))


def _places(node: ast.AST, wanted: Iterable[str], lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Line, column in bytes and name wherever one of the `wanted` module-level names stands."""
    wanted = set(wanted)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        wanted -= {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
    if isinstance(node, ast.Name) and node.id in wanted:
        yield node.lineno, node.col_offset, node.id
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in wanted and node.col_offset == 0:
        found = re.compile(r"(class|def)\s+").match(lines[node.lineno - 1])
        assert found is not None
        yield node.lineno, found.end(), node.name
    for child in ast.iter_child_nodes(node):
        yield from _places(child, wanted, lines)


def _title(thing: type | Callable[..., Any]) -> str:
    return f"{thing.__qualname__} of {thing.__module__}"
