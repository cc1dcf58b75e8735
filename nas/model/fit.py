"""Whether the blocks of a space can take what reaches them, asked before anything is drawn for a search.

`Space` checks what needs no shapes: kinds of tensors, labels, cycles. Widths need shapes, so here whole architectures
are looked at: the reference, then a few that have every option at least once between them, then every block that
stands at a place with every shape that was seen to come in there. Whatever is found is an architecture that a search
would refuse, in the same words.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from nas.errors import BlockError, CandidateError, SpaceError
from nas.model.compile import Blueprint, blueprint
from nas.model.network import Known
from nas.model.settle import construct, ties
from nas.plugin.registry import Registry
from nas.space.architecture import Architecture
from nas.space.flat import flatten
from nas.space.graph import Block, Graph
from nas.space.ports import Port, TaskInfo
from nas.space.space import Space
from nas.space.structure import labels

Option = tuple[int, int]
"""A decision and one of its options, by number."""
Unfit = tuple[Architecture, BlockError]
Ports = tuple[Port, ...]

COVERING = 32
"""Architectures drawn to have every option once; options of decisions that have more are not looked at."""
MIXED = 40
"""Crossovers tried for a block and what comes in elsewhere to meet."""
DRAWN = 64
"""Random architectures with an option before it is said that none can be built."""
COPIES = 3
"""Other copies of an untied repeat in which an option is tried that does not fit in one."""
ASKED = 8
"""Misfits that are asked which decisions they take."""
CHECKS, IN_ALL = 1_500, 5_000
"""Architectures looked at for an option that seems to fit nowhere, and for all such; then it is left to a search."""


def check_blocks(space: Space, task: TaskInfo, registry: Registry) -> tuple[str, ...]:
    """What a user should know of blocks that cannot take the widths that reach them; mostly nothing.

    Raises SpaceError, with the path of node names and what would fit, when no architecture of the space can be built,
    or none with a certain option because of a block's parameters, or the widths that it gets. Told are an option that
    fits in other copies of an untied repeat, one with which all become too small, as an image after so many strides,
    since tasks of other sizes may take it, and widths of which only some combinations fit, since a search can refuse
    the others one by one. What becomes too small in some combinations is not told.

    That none can be built is not proven but tried: architectures are drawn, and decisions changed one after another for
    as long as that leads on. A misfit of two options that neither stand at one place nor meet in an architecture looked
    at is not found. Blocks that take a graph or share weights are looked at in whole architectures only.
    """
    return _Survey(space, task, registry).findings()


class _EnoughError(Exception):
    """More was looked at than is worth the time."""


class _Survey:
    """The architectures looked at: which can be built, and which have a block that cannot take what comes in."""

    def __init__(self, space: Space, task: TaskInfo, registry: Registry) -> None:
        self.space, self.task, self.registry = space, task, registry
        self.alive: set[Option] = set()
        self.built: list[Architecture] = []
        self.unfit: list[tuple[Architecture, CandidateError]] = []
        self.checks, self.until = 0, math.inf
        self.places: set[str] = set()

    def findings(self) -> tuple[str, ...]:
        """See `check_blocks`."""
        plans: list[Blueprint] = []
        for made in _covering(self.space):
            try:
                plans.append(self._plan(made))
            except CandidateError as error:
                self.unfit.append((made, error))
            else:
                self._lives(made)
        if not plans and (why := self._stuck(None, [made for made, _ in self.unfit])) is not None:
            raise SpaceError(f"{why}; no architecture can be built")
        self.unfit += self._meetings(plans)
        found = [(made, error) for made, error in self.unfit if isinstance(error, BlockError)]
        found.sort(key=lambda pair: pair[1].of_size)
        dead: dict[Option, BlockError] = {}
        for option, (made, unfit) in self._suspects(found).items():
            if option in self.alive or (dead and unfit.of_size):
                continue
            if isinstance(why := self._stuck(option, [made]), BlockError):
                dead[option] = why
                if not why.of_size and self._fits_no_copy(option):
                    said = f"no architecture with {self._text(option)} can be built, leave that option out"
                    raise SpaceError(f"{why}; {said}")
        if dead:
            option, why = next(iter(dead.items()))
            return (f"no architecture with {self._text(option)} can be built: {why}",)
        return (self._combination(*found[0]),) if found and not found[0][1].of_size else ()

    def _suspects(self, found: list[Unfit]) -> dict[Option, Unfit]:
        """Options that may fit nowhere, each with what it fails in: first those that alone can avoid a misfit."""
        first = {error.path: (made, error) for made, error in reversed(found)}
        alone = {option: pair for pair in [*first.values()][::-1][:ASKED] for option in self._taking(*pair)}
        return alone | {option: pair for pair in found for option in self._options(pair[0]) if option not in alone}

    def _plan(self, made: Architecture) -> Blueprint:
        self.checks += 1
        return blueprint(made, self.task, self.registry, memory=False)

    def _why(self, made: Architecture) -> CandidateError | None:
        """Why an architecture cannot be built, if it cannot."""
        if self.checks >= self.until:
            raise _EnoughError
        try:
            self._plan(made)
        except CandidateError as error:
            self.places.add(_failure(error)[0])
            return error
        self._lives(made)
        return None

    def _lives(self, made: Architecture) -> None:
        self.built.append(made)
        self.alive.update(self._options(made))

    def _options(self, made: Architecture) -> list[Option]:
        return [(number, pick) for number, pick in enumerate(self.space.picks(made)) if pick >= 0]

    def _text(self, option: Option) -> str:
        decision = self.space.decisions[option[0]]
        return f"{decision.label}={decision.names[option[1]]}"

    def _meetings(self, plans: list[Blueprint]) -> Iterator[tuple[Architecture, CandidateError]]:
        """Architectures that bring a block, seen at a place, together with what another had coming in there."""
        blocks: dict[str, dict[Block, Architecture]] = {}
        coming: dict[str, dict[Ports, Architecture]] = {}
        for plan in plans:
            made = plan.architecture
            for term, step in zip(flatten(made.graph).terms, plan.plan.steps, strict=True):
                blocks.setdefault(term.path, {}).setdefault(term.block, made)
                coming.setdefault(term.path, {}).setdefault(step.incoming, made)
        known, rng = Known(self.registry, simplify=True), random.Random(0)
        told: set[tuple[Block, Ports]] = set()
        for path, there in blocks.items():
            for block, one in there.items():
                cls = known.cls(block.name, path)[0]
                if ties(cls) or any(isinstance(value, Graph) for _, value in block.params):
                    continue
                for inputs, other in coming[path].items():
                    try:
                        construct(block, cls, inputs, path, graph=self.task.inputs)
                    except BlockError as error:
                        if (block, inputs) in told:
                            continue
                        told.add((block, inputs))
                        yield from self._mixed(one, other, str(error), rng)

    def _mixed(
        self, one: Architecture, other: Architecture, error: str, rng: random.Random
    ) -> Iterator[tuple[Architecture, CandidateError]]:
        """An architecture between the two that is refused with these words, if one is found."""
        for _ in range(MIXED):
            made = self.space.crossover(one, other, rng)
            if (why := self._why(made)) is not None and str(why) == error:
                yield made, why
                return

    def _stuck(self, option: Option | None, starts: list[Architecture]) -> CandidateError | None:
        """Why none can be built, of those with the option if there is one; None where one is.

        Where there is too much to look at it is None, too, unless everything fails at one place.
        """
        self.until = min(self.checks + CHECKS, IN_ALL) if option else IN_ALL
        rng = random.Random(0)
        drawn = {tuple(made.decisions.items()): made for made in (self.space.sample(rng) for _ in range(DRAWN))}
        near = [*(self.built[-DRAWN:] if option else ()), *drawn.values()]
        likely = [made for other in near if (made := self._with(option, other)) is not None]
        why: CandidateError | None = None
        try:
            for made in likely:
                if (unfit := self._why(made)) is None:
                    return None
                why = why or unfit  # the first was built until it got the option, if there is one
            for start in (*likely[-1:], *starts):
                if (unfit := self._climb(option, start)) is None:
                    return None
                why = why or unfit
        except _EnoughError:
            return why if option is None and len(self.places) == 1 else None
        return why

    def _fits_no_copy(self, option: Option) -> bool:
        """Whether the option fits in no other copy of an untied repeat, either."""
        number, pick = option
        written, of = labels(self.space.graph), [decision.label for decision in self.space.decisions]
        whole = max((label for label in written if f"/{of[number]}".endswith(f"/{label}")), key=len)
        copies = [(i, pick) for i, label in enumerate(of) if i != number and label.endswith(f"/{whole}")]
        return all(copy not in self.alive and self._stuck(copy, []) is not None for copy in copies[:COPIES])

    def _with(self, option: Option | None, made: Architecture) -> Architecture | None:
        """The architecture with the option instead of another; None where its decision is not open there."""
        picks = self.space.picks(made)
        kept = dict([option] if option else [])
        other = self.space.take(lambda i: kept.get(i, max(picks[i], 0)))
        return other if option is None or option in self._options(other) else None

    def _climb(self, option: Option | None, start: Architecture) -> CandidateError | None:
        """Changes single decisions, never the option, each to get over what fails, and goes back where nothing does.

        None when an architecture comes of it that can be built; else what could not be got over.
        """
        if (why := self._why(start)) is None:
            return None
        last, seen = why, {tuple(self.space.picks(start))}
        way = [(why, self.space.neighbours(start))]
        while way:
            why, left = way[-1]
            near = next(left, None)
            if near is None:
                way.pop()
                continue
            picks = tuple(self.space.picks(near))
            if picks in seen or (option is not None and picks[option[0]] != option[1]):
                continue
            seen.add(picks)
            then = self._why(near)
            if then is None:
                return None
            if _failure(then) not in {_failure(passed) for passed, _ in way}:
                way.append((then, self.space.neighbours(near)))
                last = then
        return last

    def _fits(self, made: Architecture, path: str) -> bool:
        """Whether all blocks up to this path can take what comes in."""
        if (why := self._why(made)) is None:
            return True
        order = [term.path for term in flatten(made.graph).terms]
        if not isinstance(why, BlockError) or why.path not in order:
            return False
        return path not in order or order.index(why.path) > order.index(path)

    def _combination(self, made: Architecture, error: BlockError) -> str:
        """A misfit that other options avoid, with the decisions that it takes."""
        said = " and ".join(map(self._text, self._taking(made, error)))
        return (
            f"{error}{said and f', with {said}'}; a search refuses such candidates one by one: tie the decisions by "
            "one label, or choose among combinations that fit"
        )

    def _taking(self, made: Architecture, error: BlockError) -> list[Option]:
        """The options of an architecture without each of which it is no misfit, or not there."""
        self.until = math.inf
        options = self.space.picks(made)
        taking: set[int] = set()
        for near in self.space.neighbours(made):
            pairs = enumerate(zip(options, self.space.picks(near), strict=True))
            (changed,) = [number for number, (was, now) in pairs if was != now and min(was, now) >= 0]
            if changed not in taking and self._fits(near, error.path):
                taking.add(changed)
        return [(number, options[number]) for number in sorted(taking)]


def _failure(error: CandidateError) -> tuple[str, str]:
    """Where it fails and how; what has nothing to do with it is not in the words of a block."""
    return (error.path, str(error.__cause__ or error)) if isinstance(error, BlockError) else ("", str(error))


def _covering(space: Space) -> Iterator[Architecture]:
    """The reference, and architectures that take what options are left, each as early as it can."""
    left = [set(range(len(decision.names))) for decision in space.decisions]

    def take(made: Architecture) -> Architecture:
        for number, pick in enumerate(space.picks(made)):
            left[number].discard(pick)
        return made

    def choose(number: int) -> int:
        count = len(space.decisions[number].names)
        turned = [(turn + number + i) % count for i in range(count)]
        return next((pick for pick in turned if pick in left[number]), turned[0])

    yield take(space.reference)
    turn = 0
    while any(left) and turn < COVERING:
        yield take(space.take(choose))
        turn += 1
