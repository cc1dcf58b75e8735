"""What flows along an edge, and what a task asks of a network. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "sequence", "tokens", "vector"]

KINDS: dict[str, tuple[str, ...]] = {
    "image": ("C", "H", "W"),
    "sequence": ("L", "D"),
    "tokens": ("L",),
    "vector": ("D",),
}
"""Kind of a port -> its axes without the batch axis."""

ANY = "any"
SAME = "same"


@dataclass(frozen=True, slots=True)
class Port:
    """A tensor's kind and its shape without the batch axis.

    >>> print(Port("image", (3, 32, 32)))
    image (C=3, H=32, W=32)
    """

    kind: Kind
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        axes = KINDS.get(self.kind)
        if axes is None:
            raise ValueError(f"expected a port kind among {', '.join(KINDS)}, got {self.kind!r}")
        if len(self.shape) != len(axes) or any(size < 1 for size in self.shape):
            raise ValueError(f"expected {self.kind} ({', '.join(axes)}) with positive sizes, got {self.shape}")

    @property
    def width(self) -> int:
        """Channels of an image, features of a sequence or vector, length of tokens."""
        return self.shape[-1] if self.kind in ("sequence", "vector") else self.shape[0]

    def __str__(self) -> str:
        sizes = ", ".join(f"{a}={n}" for a, n in zip(KINDS[self.kind], self.shape, strict=True))
        return f"{self.kind} ({sizes})"


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What a search space may know of a task: the shapes that come in and the answer that goes out.

    `outputs` is the number of classes of a classification, of targets of a regression, of tokens in the vocabulary.
    `target` is ``class`` or ``value`` for one answer an example, ``token`` for one a position of the last input.
    `vocabulary` is how many different tokens its token inputs hold, 0 where it has none. `padding` is the token that
    fills up shorter texts, always after them; None where no text is filled up.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: int
    target: Literal["class", "value", "token"] = "class"
    vocabulary: int = 0
    padding: int | None = None

    @property
    def input(self) -> Port:
        """The first (mostly the only) input."""
        return self.inputs[0]

    @property
    def output(self) -> Port:
        """What the network must give: a vector of scores or values, or one of scores at every position."""
        if self.target == "token":
            return Port("sequence", (self.inputs[-1].shape[0], self.outputs))
        return Port("vector", (self.outputs,))

    @property
    def classes(self) -> int:
        """Another word for `outputs`, for spaces that end in a classifier."""
        return self.outputs


def kinds_of(word: str) -> frozenset[str]:
    """The set of kinds that a declaration like ``"image|vector"`` or ``"any"`` stands for."""
    if word == ANY:
        return frozenset(KINDS)
    kinds = frozenset(word.split("|"))
    if unknown := kinds - KINDS.keys():
        raise ValueError(f"unknown port kind {sorted(unknown)[0]!r}; known: {', '.join(KINDS)}, any")
    return kinds


def kinds_text(kinds: Iterable[str]) -> str:
    """Kinds as an error message prints them."""
    return " or ".join(sorted(kinds)) or "nothing"
