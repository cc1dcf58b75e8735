"""A search space: a graph with choices, and all that follows from it without a line of its author's.

A space is compiled once into a table of decisions (labels, options, which option opens which further decisions) and a
builder of graphs, so that sampling is a few table look-ups.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from nas.errors import SpaceError, UnknownNameError
from nas.space.architecture import Architecture
from nas.space.count import count_assignments
from nas.space.expand import Decision, expand
from nas.space.graph import Graph, Scalar

Picks = list[int]


class Space:
    """An immutable graph with choices in it.

    Raises SpaceError, with the path of node names to the place, for ports that do not fit, a label used for two
    different choices, an empty choice, or a reference that is no point of the space.

    reference: a hand-made architecture to compare with, as ``{label: option's name}``; labels left out take their
        first option.
    settings: decisions beside the graph, as how a candidate is trained; always open, in no network.
    recipe: options of the training that suit these networks, as ``{"optimizer": "adamw"}``; a user's go before them.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        reference: Mapping[str, Scalar] | None = None,
        inputs: Sequence[str] | None = None,
        name: str = "space",
        settings: Sequence[Decision] = (),
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.recipe = dict(recipe or {})
        self.graph = graph
        self.settings = tuple(settings)
        self._said = reference
        self._inputs = inputs
        self._expanded = expand(graph, inputs).beside(self.settings)
        self.decisions: tuple[Decision, ...] = self._expanded.decisions
        self._index = {d.label: i for i, d in enumerate(self.decisions)}
        self._counts = [len(d.names) for d in self.decisions]
        self._flat = not any(kids for place in self._expanded.first for kids in place.opens)
        self._position = [{(type(name), name): i for i, name in enumerate(d.names)} for d in self.decisions]
        try:
            self.reference = self.architecture(reference or {}, fill=True)
        except SpaceError as error:
            raise SpaceError(f"the reference architecture: {error}") from error

    def bound(self, inputs: Sequence[str], name: str) -> Space:
        """The same space under a name, checked against the kinds of the inputs that a task brings."""
        return self._with(inputs=inputs, name=name)

    def with_settings(self, settings: Sequence[Decision], usual: Mapping[str, Scalar]) -> Space:
        """The space with decisions beside the graph; `usual` are the options of a reference, where it has one.

        Raises SpaceError for a label that the space has.
        """
        said = None if self._said is None else {**self._said, **usual}
        return self._with(reference=said, settings=settings)

    def _with(self, **changes: Any) -> Space:
        given = {
            "reference": self._said,
            "inputs": self._inputs,
            "name": self.name,
            "settings": self.settings,
            "recipe": self.recipe,
        }
        return Space(self.graph, **(given | changes))

    @property
    def has_reference(self) -> bool:
        """Whether its author named a reference; else `reference` is only the architecture of all first options."""
        return self._said is not None

    @cached_property
    def always_open(self) -> frozenset[int]:
        """The numbers of the decisions that do not depend on others."""
        return frozenset(place.number for place in self._expanded.first)

    @cached_property
    def size(self) -> int:
        """How many assignments of decisions there are, exactly; labels of decisions that are not open don't count."""
        return count_assignments(self.decisions, self._expanded.first)

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture with every open decision drawn uniformly."""
        if self._flat:
            draw = rng.random
            return self._realise([int(draw() * n) for n in self._counts])
        return self._realise(self._complete([-1] * len(self._counts), self._draw(rng)))

    def mutate(self, architecture: Architecture, rng: random.Random, changes: int = 1) -> Architecture:
        """`changes` decisions, drawn uniformly, take another option; decisions that this opens are drawn too."""
        picks = self.picks(architecture)
        for _ in range(changes):
            movable = [i for i, pick in enumerate(picks) if pick >= 0 and self._counts[i] > 1]
            if not movable:
                return architecture
            i = movable[int(rng.random() * len(movable))]
            picks[i] = (picks[i] + 1 + int(rng.random() * (self._counts[i] - 1))) % self._counts[i]
            picks = self._complete(picks, self._draw(rng))
        return self._realise(picks)

    def crossover(self, one: Architecture, other: Architecture, rng: random.Random) -> Architecture:
        """Every decision from one of the two parents, drawn evenly; uniform crossover."""
        pairs = zip(self.picks(one), self.picks(other), strict=True)
        mixed = [max(a, b) if min(a, b) < 0 else (a if rng.random() < 0.5 else b) for a, b in pairs]
        return self._realise(self._complete(mixed, self._draw(rng)))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures with one decision changed; decisions that the change opens take their first option."""
        picks = self.picks(architecture)
        for i, pick in enumerate(picks):
            if pick < 0:
                continue
            for option in range(self._counts[i]):
                if option != pick:
                    changed = list(picks)
                    changed[i] = option
                    yield self._realise(self._complete(changed, lambda _: 0))

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once, in a fixed order; `size` says how many to expect."""
        for picks in self._all([-1] * len(self._counts)):
            yield self._realise(picks)

    def architecture(self, decisions: Mapping[str, Scalar], *, fill: bool = False) -> Architecture:
        """The architecture with these decisions; with `fill`, open ones that are not given take their first option.

        Raises SpaceError for a label the space does not have, an option the label does not have, a missing decision,
        or a decision that is not open.
        """
        given = self._given(decisions)
        missing: list[int] = []

        def first(i: int) -> int:
            missing.append(i)
            return 0

        picks = self._complete(given, first)
        if missing and not fill:
            raise SpaceError(f"no decision is given for {self.decisions[missing[0]].label!r}")
        for i, pick in enumerate(given):
            if pick >= 0 and picks[i] < 0:
                raise SpaceError(f"decision {self.decisions[i].label!r} is not open under the others given")
        return self._realise(picks)

    def picks(self, architecture: Architecture) -> list[int]:
        """Which option each of `decisions` takes in it, by number; -1 for those that are not open."""
        return self._given(architecture.decisions)

    def take(self, choose: Callable[[int], int]) -> Architecture:
        """The architecture that comes of choosing an option's number for one open decision, by number, after another.

        A decision comes after the ones that opened it, so that `choose` is asked for no other.
        """
        return self._realise(self._complete([-1] * len(self._counts), choose))

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture):
            return False
        try:
            return self.architecture(architecture.decisions).graph == architecture.graph
        except SpaceError:
            return False

    def __repr__(self) -> str:
        return f"<Space {self.name}: {len(self.decisions)} decisions, {self.size:,} architectures>"

    def _given(self, decisions: Mapping[str, Scalar]) -> Picks:
        picks = [-1] * len(self._counts)
        for label, name in decisions.items():
            if label not in self._index:
                raise SpaceError(str(UnknownNameError("decision", label, self._index)))
            i = self._index[label]
            option = self._position[i].get((type(name), name))
            if option is None:
                names = [str(known) for known in self.decisions[i].names]
                raise SpaceError(str(UnknownNameError(f"option of decision {label!r}", str(name), names)))
            picks[i] = option
        return picks

    def _draw(self, rng: random.Random) -> Callable[[int], int]:
        return lambda i: int(rng.random() * self._counts[i])

    def _complete(self, given: Picks, choose: Callable[[int], int]) -> Picks:
        """The picks of all open decisions: as given, or chosen; those that are not open are -1."""
        picks = [-1] * len(given)
        todo = list(reversed(self._expanded.first))
        while todo:
            place = todo.pop()
            i = place.number
            if picks[i] < 0:
                picks[i] = given[i] if given[i] >= 0 else choose(i)
            todo.extend(reversed(place.opens[picks[i]]))
        return picks

    def _all(self, given: Picks) -> Iterator[Picks]:
        missing: list[int] = []

        def first(i: int) -> int:
            missing.append(i)
            return 0

        picks = self._complete(given, first)
        if not missing:
            yield picks
            return
        for option in range(self._counts[missing[0]]):
            given = list(given)
            given[missing[0]] = option
            yield from self._all(given)

    def _realise(self, picks: Picks) -> Architecture:
        made = self._expanded.build(picks)
        labels = {d.label: d.names[p] for d, p in zip(self.decisions, picks, strict=True) if p >= 0}
        return Architecture(made, labels, {d.label: labels[d.label] for d in self.settings})
