"""What a controller answers when a runner asks what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nas.space.architecture import Architecture

Cause = Literal["budget", "time", "space", "refused", "interrupted"]


@dataclass(frozen=True, slots=True)
class Job:
    """A trial to run; with `resume` it goes on from its last checkpoint."""

    number: int
    architecture: Architecture
    seed: int
    resume: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What travels to a worker: JSON only."""
        return {
            "number": self.number,
            "architecture": self.architecture.to_dict(),
            "seed": self.seed,
            "resume": self.resume,
        }


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """Architectures of which a worker is to say the zero-cost scores; no trial, so its number is below zero."""

    number: int
    architectures: tuple[Architecture, ...]
    proxies: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What travels to a worker: JSON only."""
        return {"architectures": [made.to_dict() for made in self.architectures], "proxies": list(self.proxies)}


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start yet: ask again in a moment or, where it is `idle`, when a worker has said something."""

    idle: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing will be started any more, trials that run may end; `reason` is a sentence for people.

    So are `warnings`, of what was wrong all the time.
    """

    reason: str
    cause: Cause
    warnings: tuple[str, ...] = ()


TIME_UP = Done("the time is up", "time")
INTERRUPTED = Done("interrupted; trials in flight go on when the search is resumed", "interrupted")
