"""What plugins have registered: one table a kind, each entry with its owner."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nas.errors import ConfigError, PluginError, UnknownNameError
from nas.space.graph import Role, Signature, Traits, Value
from nas.space.ports import ANY, SAME

EntryKind = Literal[
    "block", "space", "task", "strategy", "scheduler", "objective", "proxy", "table", "logger", "exporter", "report"
]
Target = str | Callable[..., Any]
BARE = ""
"""Key of an option that was given without its name: the first one."""


@dataclass(frozen=True)
class Entry:
    """One registered thing. `target` is what it stands for, or ``"module:attribute"``, imported at first use."""

    kind: EntryKind
    name: str
    target: Target
    owner: str
    summary: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The target itself; raises PluginError with the owner's name when it cannot be imported."""
        return self._loaded(self.target)

    def claim(self) -> Callable[[Path], bool] | None:
        """What tells whether a file is this task's; None where it cannot tell."""
        claims = self.details.get("claims")
        return None if claims is None else self._loaded(claims)

    def build(self, *args: object, **options: object) -> Any:
        """The target called with `args` and the user's `options`; an option it does not take is refused."""
        made = self.load()
        allowed, options = self.options(), self.named(options)
        for name in options:
            if name not in allowed and not self._takes_any():
                raise UnknownNameError(f"option of {self.kind} {self.name!r}", name, allowed)
            usual = allowed.get(name)
            if isinstance(usual, int | float) and isinstance(options[name], str):
                kind = "true or false" if isinstance(usual, bool) else f"a number such as {usual}"
                raise ConfigError(f"{self.kind} {self.name!r}: expected {name} to be {kind}, got {options[name]!r}")
        return made(*args, **options)

    def named(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with the nameless one, a bare word that `parse_spec` read, under the name of the first."""
        if BARE not in options:
            return dict(options)
        first, word = next(iter(self.options()), None), options[BARE]
        if first is None:
            raise ConfigError(f"{self.kind} {self.name!r} takes no options, got {word!r}")
        if first in options:
            raise ConfigError(f"{self.kind} {self.name!r}: expected option {first!r} once, got {word!r} beside it")
        return {first: word} | {name: value for name, value in options.items() if name != BARE}

    def options(self) -> dict[str, Any]:
        """The options a user may give, with their defaults (`inspect.Parameter.empty` where there is none)."""
        parameters = inspect.signature(self.load()).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def _takes_any(self) -> bool:
        """Whether the target checks the names of its options itself (``**options``)."""
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(self.load()).parameters.values())

    def _loaded(self, target: Target) -> Any:
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"{self.kind} {self.name!r} of plugin {self.owner!r}: cannot import {target!r}: {error}"
            ) from error


class Registry:
    """Every registered thing, by kind and name."""

    def __init__(self) -> None:
        self._tables: dict[EntryKind, dict[str, Entry]] = {}

    def add(self, entries: Sequence[Entry]) -> None:
        """All of `entries` or, with a PluginError that names both owners, none of them."""
        fresh: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            other = self._tables.get(entry.kind, {}).get(entry.name) or fresh.get((entry.kind, entry.name))
            if other is not None:
                raise PluginError(
                    f"{entry.kind} {entry.name!r} of plugin {entry.owner!r} is taken by plugin {other.owner!r}; "
                    "rename one of them"
                )
            fresh[entry.kind, entry.name] = entry
        for entry in entries:
            self._tables.setdefault(entry.kind, {})[entry.name] = entry

    def get(self, kind: EntryKind, name: str) -> Entry:
        """The entry; an unknown name is answered with the nearest one."""
        table = self._tables.get(kind, {})
        if name not in table:
            raise UnknownNameError(kind, name, table)
        return table[name]

    def all(self, kind: EntryKind) -> list[Entry]:
        """The entries of a kind, by name."""
        return [entry for _, entry in sorted(self._tables.get(kind, {}).items())]

    def owned(self, owner: str) -> list[Entry]:
        """What one plugin registered."""
        return [entry for table in self._tables.values() for entry in table.values() if entry.owner == owner]

    @property
    def blocks(self) -> Blocks:
        """The registered blocks, as a space's author uses them."""
        return Blocks(self)


class Blocks:
    """Blocks as attributes: ``b.conv(kernel=3)``. A misspelt one is answered with the nearest name."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Signature:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Signature:
        signature = self._registry.get("block", name).details["signature"]
        assert isinstance(signature, Signature)
        return signature

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in self._registry.all("block"))


class Registrar:
    """What `nas_register` gets: one typed method a kind. Nothing is registered unless all of a plugin is."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.entries: list[Entry] = []

    def block(
        self,
        name: str,
        target: Target,
        *,
        inputs: tuple[str, ...] = (ANY,),
        output: str = SAME,
        parameters: Mapping[str, Value] | None = None,
        role: Role = "",
        keeps_zero: bool = False,
        summary: str = "",
    ) -> None:
        """A block: an `nn.Module` class (named by a string, so that torch stays unloaded) and its declaration.

        `parameters` are the constructor's keyword arguments with their defaults. Arguments called `in_channels`,
        `in_features`, `in_length`, `in_shape` or `in_shapes` are filled from the shapes that come in, never by a space;
        `graph_features` is the width of the last input of the graph that the block stands in.

        A parameter that may be a graph (a recurrent cell's) reaches the constructor as a module; a static method
        ``<parameter>_inputs`` of the class says what flows into it, as ``[("vector", (D,)), ...]``, from any of the
        constructor's arguments. An argument ``tied_to: nn.Module | None = None`` is the module of the block that gives
        the last of several inputs, to share its weights: read them in forward, and keep it in a tuple, so that it is no
        submodule of yours and they are saved and counted once.
        """
        signature = Signature(name, inputs, output, parameters or {}, Traits(role, keeps_zero))
        self._add("block", name, target, summary, signature=signature)

    def space(self, name: str, target: Target, *, summary: str = "") -> None:
        """A search space: ``f(b: Blocks, task: TaskInfo, *, option=default, ...) -> Space | Graph``."""
        self._add("space", name, target, summary)

    def task(
        self,
        name: str,
        target: Target,
        *,
        suffixes: tuple[str, ...] = (),
        claims: Target | None = None,
        summary: str = "",
    ) -> None:
        """A task: ``f(*, option=default, ...) -> Task``; with `suffixes`, also for ``--task file.suffix`` as `path`.

        Where several tasks read one suffix, ``claims(path) -> bool`` tells whether a file is this one's; the summary
        then says what it expects in its files. Options called ``path`` or ending in ``_from`` name files.
        """
        self._add("task", name, target, summary, suffixes=suffixes, claims=claims)

    def strategy(self, name: str, target: Target, *, summary: str = "") -> None:
        """A strategy: ``f(*, option=default, ...) -> Strategy``."""
        self._add("strategy", name, target, summary)

    def scheduler(self, name: str, target: Target, *, summary: str = "") -> None:
        """A scheduler of Ray Tune: ``f(epochs, *, option=default, ...) -> TrialScheduler``.

        `epochs` are those of a whole trial; Ray calls an epoch a `training_iteration`. It must stop trials, not pause
        them; without a metric of its own it goes by the first objective.
        """
        self._add("scheduler", name, target, summary)

    def objective(
        self, name: str, metric: str, *, direction: Literal["maximize", "minimize"], summary: str = ""
    ) -> None:
        """An objective: the metric of a trained candidate that is to be made large or small.

        Raises PluginError for any other direction than these two.
        """
        if direction not in ("maximize", "minimize"):
            raise PluginError(
                f"objective {name!r} of plugin {self.owner!r}: expected direction 'maximize' or 'minimize', "
                f"got {direction!r}"
            )
        self._add("objective", name, str, summary, metric=metric, direction=direction)

    def proxy(self, name: str, target: Target, *, summary: str = "") -> None:
        """A zero-cost proxy: ``f(network: nn.Module, batch: Batch) -> float``, larger where a better one is expected.

        The network is freshly initialised and may be left changed. Raises CandidateError, with the reason, for a
        network that the proxy does not apply to.
        """
        self._add("proxy", name, target, summary)

    def table(self, name: str, target: Target, *, summary: str = "") -> None:
        """A table of trained architectures: ``f(registry: Registry, *, option=default, ...) -> Table``.

        `build_space(registry, ...)` gives it its space. An option called ``path`` names the file it is read from.
        """
        self._add("table", name, target, summary)

    def logger(self, name: str, target: Target, *, summary: str = "") -> None:
        """What follows a search that asks for it: ``f(*, option=default, ...) -> object`` with hooks for observers.

        Its methods are marked with `hookimpl`: `nas_search_started`, `nas_trial_reported` and so on.
        """
        self._add("logger", name, target, summary)

    def exporter(self, name: str, target: Target, *, summary: str = "") -> None:
        """An exporter: ``f(winner: Exportable, folder: Path) -> list[Path]``, the files it wrote."""
        self._add("exporter", name, target, summary)

    def report(self, name: str, target: Target, *, summary: str = "") -> None:
        """A report: ``f(history: History, folder: Path) -> list[Path]``, the files it wrote."""
        self._add("report", name, target, summary)

    def _add(self, kind: EntryKind, name: str, target: Target, summary: str, **details: Any) -> None:
        if isinstance(target, str) and target.count(":") != 1:
            raise PluginError(
                f"{kind} {name!r} of plugin {self.owner!r}: expected a target 'module:attribute', got {target!r}"
            )
        if not summary and not isinstance(target, str):
            summary = (inspect.getdoc(target) or "").partition("\n")[0]
        self.entries.append(Entry(kind, name, target, self.owner, summary, details))


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """``"name:key=value,key=value"`` as a name and options; values are TOML values or else plain words.

    The first value may stand alone, for the first option there is: ``"name:value"``; its key is `BARE`.

    >>> parse_spec("cell_cnn:channels=16,norm=batch")
    ('cell_cnn', {'channels': 16, 'norm': 'batch'})
    >>> parse_spec("optuna:tpe")
    ('optuna', {'': 'tpe'})
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals and not options and part.strip():
            key, value = BARE, part
        elif not key.strip() or not equals:
            raise ConfigError(f"expected 'name:key=value,key=value', got {text!r} (at {part!r})")
        if (key := key.strip()) in options:
            raise ConfigError(f"expected each option once, got {key!r} twice in {text!r}")
        options[key] = _toml_value(value)
    return name.strip(), options


def _toml_value(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text.strip()
