"""What every search space must be, for each task it takes."""

from __future__ import annotations

import random
import warnings
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

from nas.errors import CandidateError, SpaceError
from nas.space.architecture import Architecture
from nas.space.space import Space
from nas.testing.case import IMAGE, Case
from nas.testing.elsewhere import same_elsewhere

SAMPLES = 20
ENUMERABLE = 20_000


def check_reference_is_in_the_space(case: Case) -> None:
    """The hand-made reference architecture is a point of the space."""
    space = space_of(case)
    assert space.reference in space, f"{case}: the reference is not in the space: {dict(space.reference.decisions)}"


def check_samples_are_in_the_space(case: Case) -> None:
    """Samples are points of the space and the same for the same seed."""
    space = space_of(case)
    for made in samples(space):
        assert made in space, f"{case}: a sample is not in the space: {dict(made.decisions)}"
    assert samples(space) == samples(space), f"{case}: the same seed gives other samples"


def check_json_round_trip(case: Case) -> None:
    """An architecture comes back from JSON equal, with its digest."""
    for made in samples(space_of(case)):
        back = Architecture.from_json(made.to_json())
        assert back == made, f"{case}: JSON gives back another architecture than {dict(made.decisions)}"
        assert back.digest == made.digest, f"{case}: JSON gives back another digest for {dict(made.decisions)}"


def check_digests_are_the_same_elsewhere(case: Case) -> None:
    """Another process with another PYTHONHASHSEED samples the same architectures and gives them the same digests."""
    same_elsewhere(sampled_digests, case)


def check_mutation_changes_one_decision(case: Case) -> None:
    """A mutation stays in the space and changes one decision; others change only by opening or closing."""
    space, rng = space_of(case), random.Random(1)
    for made in samples(space):
        mutant = space.mutate(made, rng)
        assert mutant in space, f"{case}: a mutant is not in the space: {dict(mutant.decisions)}"
        changed = _changed(made, mutant)
        want = 1 if any(len(d.names) > 1 for d in space.decisions if d.label in made.decisions) else 0
        assert len(changed) == want, f"{case}: a mutation changes {len(changed)} decisions: {changed}"


def check_crossover_mixes_its_parents(case: Case) -> None:
    """A child stays in the space; each of its decisions that a parent has is one of its parents'."""
    space, rng = space_of(case), random.Random(2)
    parents = samples(space)
    for one, other in pairwise(parents):
        child = space.crossover(one, other, rng)
        assert child in space, f"{case}: a child is not in the space: {dict(child.decisions)}"
        for label, option in child.decisions.items():
            had = [parent.decisions[label] for parent in (one, other) if label in parent.decisions]
            assert not had or option in had, f"{case}: the child's {label!r} is {option!r}, its parents' {had}"


def check_neighbours_differ(case: Case) -> None:
    """Neighbours are distinct points of the space, each one decision away."""
    space = space_of(case)
    for made in (space.reference, samples(space)[0]):
        near = list(islice(space.neighbours(made), 500))
        points = [_point(neighbour) for neighbour in near]
        assert len(set(points)) == len(points), f"{case}: a neighbour comes twice"
        for neighbour in near:
            assert neighbour in space, f"{case}: a neighbour is not in the space: {dict(neighbour.decisions)}"
            changed = _changed(made, neighbour)
            assert len(changed) == 1, f"{case}: a neighbour is {len(changed)} decisions away: {changed}"


def check_size_equals_enumeration(case: Case) -> None:
    """The exact size is the number of architectures that enumeration gives; tried up to 20,000."""
    space = space_of(case)
    assert space.size >= 1, f"{case}: the space is empty"
    if space.size <= ENUMERABLE:
        points = [_point(made) for made in space.enumerate()]
        assert len(points) == len(set(points)), f"{case}: enumeration repeats itself"
        assert len(points) == space.size, f"{case}: size says {space.size}, enumeration gives {len(points)}"


def check_rebuild_gives_the_same_space(case: Case) -> None:
    """The space built again has the same decisions, size and reference: it depends on its options and task alone."""
    one, other = case.space(), case.space()
    assert one.decisions == other.decisions, f"{case}: built again, the space has other decisions"
    assert one.size == other.size, f"{case}: built again, the size is {other.size} instead of {one.size}"
    assert one.reference == other.reference, f"{case}: built again, the space has another reference"


def check_networks_build(case: Case) -> None:
    """The reference and at least half of the samples build on the meta device, with the outputs the task asks for."""
    from nas.model import blueprint

    space, task = space_of(case), case.task or IMAGE
    plan = blueprint(space.reference, task, case.registry)
    plan.build_meta()
    assert plan.costs.params > 0, f"{case}: the reference has nothing to learn"
    reasons = []
    tried = samples(space)[: SAMPLES // 2]
    for made in tried:
        try:
            blueprint(made, task, case.registry)
        except CandidateError as error:
            reasons.append(str(error))
    assert len(reasons) <= len(tried) // 2, (
        f"{case}: {len(reasons)} of {len(tried)} samples cannot be built, first: {reasons[0]}"
    )


def check_blocks_take_what_reaches_them(case: Case) -> None:
    """No option meets only widths that it cannot take; a warning where some combinations of options do."""
    from nas.model.fit import check_blocks

    try:
        found = check_blocks(space_of(case), case.task or IMAGE, case.registry)
    except SpaceError as error:
        raise AssertionError(f"{case}: {error}") from error
    for text in found:
        warnings.warn(f"{case}: {text}", stacklevel=2)


@lru_cache(maxsize=8)
def space_of(case: Case) -> Space:
    """The case's space, built once for all checks: it is immutable."""
    return case.space()


def samples(space: Space, seed: int = 0) -> list[Architecture]:
    """A few architectures drawn from the space."""
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(SAMPLES)]


def sampled_digests(case: Case) -> list[list[str]]:
    """JSON and digest of a few architectures."""
    return [[made.to_json(), made.digest] for made in samples(space_of(case))]


def _point(made: Architecture) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((label, repr(option)) for label, option in made.decisions.items()))


def _changed(one: Architecture, other: Architecture) -> list[str]:
    both = one.decisions.keys() & other.decisions.keys()
    return sorted(label for label in both if one.decisions[label] != other.decisions[label])


CHECKS = (
    check_reference_is_in_the_space,
    check_samples_are_in_the_space,
    check_json_round_trip,
    check_digests_are_the_same_elsewhere,
    check_mutation_changes_one_decision,
    check_crossover_mixes_its_parents,
    check_neighbours_differ,
    check_size_equals_enumeration,
    check_rebuild_gives_the_same_space,
    check_networks_build,
    check_blocks_take_what_reaches_them,
)
