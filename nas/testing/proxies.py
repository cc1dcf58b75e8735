"""What every zero-cost proxy must be: a finite score or a reason, equal for equal seeds, for any kind of network."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from nas.errors import CandidateError
from nas.testing.case import Case

if TYPE_CHECKING:
    from torch import nn

    from nas.train.proxy import Batch

    Toy = tuple[Callable[[], nn.Module], Batch]

EXAMPLES, CLASSES = 12, 3


def check_scores_or_refuses(case: Case) -> None:
    """A finite number for a toy network of each family, or a CandidateError with a reason; not all are refused."""
    import math

    scored = 0
    for name, toy in toys().items():
        said = _said(case, name, toy)
        if isinstance(said, CandidateError):
            assert str(said).strip(), f"{case}: {name}: refuses without a reason"
            continue
        assert isinstance(said, int | float), f"{case}: {name}: expected a number, got a {type(said).__name__}"
        assert math.isfinite(said), f"{case}: {name}: gives {said}"
        scored += 1
    assert scored, f"{case}: refuses every toy network: {', '.join(toys())}"


def check_seed_decides_the_score(case: Case) -> None:
    """The same network and the same seed of torch give the same score."""
    for name, toy in toys().items():
        one, other = (_said(case, name, toy) for _ in range(2))
        same = str(one) == str(other)
        assert same, f"{case}: {name}: one seed gives {one} and {other}; does it use another generator than torch's?"


def check_leaves_the_generators_alone(case: Case) -> None:
    """Scored by the worker's scorer, the generators of Python and torch go on as if nothing had happened."""
    import torch

    from nas.train.proxy import run_proxy

    for name, (make, batch) in toys().items():
        random.seed(1)
        torch.manual_seed(1)
        before = random.getstate(), torch.get_rng_state()
        try:
            run_proxy(case.make(), make, batch, seed=0, name=case.spec)
        except CandidateError:
            continue
        untouched = random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
        assert untouched, f"{case}: {name}: it draws from a generator of the process that is not torch's"


def check_leaves_the_batch_alone(case: Case) -> None:
    """The batch, which the next proxy is fed with, holds the same numbers and needs no gradient."""
    import torch

    for name, (make, batch) in toys().items():
        before = [x.clone() for x in (*batch.x, batch.y)]
        _said(case, name, (make, batch))
        for x, was in zip((*batch.x, batch.y), before, strict=True):
            untouched = torch.equal(x, was) and x.grad is None and not x.requires_grad
            assert untouched, f"{case}: {name}: it changes the batch"


def toys() -> dict[str, Toy]:
    """A convolutional, a recurrent and a Transformer network, each with a batch."""
    import torch

    from nas.testing.networks import attentive, convolutional, recurrent
    from nas.train.proxy import Batch
    from nas.train.target import Classes

    generator = torch.Generator().manual_seed(0)
    y = torch.arange(EXAMPLES) % CLASSES
    images = torch.randn(EXAMPLES, 3, 8, 8, generator=generator)
    steps = torch.randn(EXAMPLES, 6, 4, generator=generator)
    tokens = torch.randint(0, 16, (EXAMPLES, 6), generator=generator)
    return {
        "a CNN on images": (convolutional, Batch((images,), y, Classes())),
        "an RNN on sequences": (recurrent, Batch((steps,), y, Classes())),
        "a Transformer on tokens": (attentive, Batch((tokens,), y, Classes())),
    }


def _said(case: Case, name: str, toy: Toy) -> float | CandidateError:
    """The score of a toy, built and scored under one seed, or the refusal."""
    import torch

    from nas.train.proxy import without_dropout

    make, batch = toy
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = without_dropout(make())
        try:
            return case.make()(network, batch)  # type: ignore[no-any-return]
        except CandidateError as error:
            return error
        except Exception as error:
            raise AssertionError(f"{case}: {name}: raises {type(error).__name__}: {error}") from error


CHECKS = (
    check_scores_or_refuses,
    check_seed_decides_the_score,
    check_leaves_the_generators_alone,
    check_leaves_the_batch_alone,
)
