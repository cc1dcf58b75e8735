"""From text to numbers: characters or lower-case words, a vocabulary by frequency, a few tokens that are no text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from nas.errors import ConfigError, TaskError
from nas.train.start import exported_facts
from nas.train.task import Array

Level = Literal["words", "characters"]
PADDING, UNKNOWN, START, END, MASK = range(5)
SPECIAL = ("<pad>", "<unknown>", "<start>", "<end>", "<mask>")
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")


def pieces(text: str, level: Level) -> list[str]:
    """`text` as tokens: its characters, or words and punctuation in lower case.

    >>> pieces("Don't panic!", "words")
    ["don't", 'panic', '!']
    """
    return list(text) if level == "characters" else WORD.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a task knows, by number; the first are `SPECIAL`."""

    tokens: tuple[str, ...]
    level: Level

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], level: Level, size: int) -> Vocabulary:
        """The `size` most frequent tokens, special ones included; of equally frequent ones the first by name."""
        if size <= len(SPECIAL):
            raise ConfigError(f"expected a vocabulary of more than the {len(SPECIAL)} special tokens, got {size}")
        counts = Counter(piece for text in texts for piece in text)
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls((*SPECIAL, *ranked[: size - len(SPECIAL)]), level)

    @classmethod
    def chosen(cls, texts: Iterable[Sequence[str]], level: Level, size: int, place: str) -> Vocabulary:
        """That of the exported network in folder `place` or, where this is empty, of `texts`; raises ConfigError."""
        if not place:
            return cls.of(texts, level, size)
        facts = exported_facts(place)
        if facts.get("level") != level:
            found = f"has {facts['level']}: give the option level={facts['level']}" if facts else "is not of a text"
            raise ConfigError(f"option 'vocabulary_from': expected a network trained on {level}, {place} {found}")
        return cls(tuple(facts["tokens"]), level)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens) if number >= len(SPECIAL)}

    def encode(self, text: Sequence[str]) -> list[int]:
        """The numbers of tokens; what is not known is `UNKNOWN`."""
        return [self._numbers.get(piece, UNKNOWN) for piece in text]

    def padded(self, texts: Iterable[Sequence[int]], length: int, *, fill: int = PADDING) -> Array:
        """(N, length) int64: numbers, cut at `length` or filled up after the text."""
        rows = list(texts)
        made = np.full((len(rows), length), fill, dtype=np.int64)
        for row, text in zip(made, rows, strict=True):
            row[: len(text)] = text[:length]
        return made

    @property
    def characters(self) -> tuple[int, ...]:
        """How many characters each token stands for: a word its letters and the space after it, an unknown one 1."""
        more = 0 if self.level == "characters" else 1
        return tuple(len(t) + more if i >= len(SPECIAL) else 1 for i, t in enumerate(self.tokens))

    @property
    def facts(self) -> dict[str, Any]:
        """What a user of a network must know to give it text."""
        return {"tokens": list(self.tokens), "level": self.level}


def check_level(level: str, task: str) -> None:
    """Raises ConfigError for a level that is none."""
    if level not in ("words", "characters"):
        raise ConfigError(f"option 'level' of task {task!r}: expected words or characters, got {level!r}")


def chosen_length(texts: Sequence[Sequence[object]], length: int, most: int, where: str) -> int:
    """`length`, or where it is 0 that of the longest text, at most `most`; raises TaskError where none has tokens."""
    if length < 0:
        raise ConfigError(f"{where}: expected a length of at least 1, got {length}")
    longest = max(map(len, texts), default=0)
    if not longest:
        raise TaskError(f"{where}: expected texts with words in them, got none")
    return length or min(most, longest)
