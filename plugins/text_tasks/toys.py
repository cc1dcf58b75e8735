"""Small texts made by code, always the same: something to try networks on tokens with, without a download."""

from __future__ import annotations

import random

import numpy as np

from nas.space.ports import Port, TaskInfo
from nas.train.task import Arrays, ArrayTask

from .language import language_of
from .pairs import task_of
from .tokens import PADDING, Vocabulary, chosen_length, pieces

TOPICS = ("food", "room", "staff", "view", "music", "price")
PRAISE = ("good", "lovely", "great", "fine", "charming")
BLAME = ("bad", "awful", "dull", "poor", "dreadful")
VERDICTS = ("negative", "mixed", "positive")
SMALL = tuple(
    word
    for line in (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
        "fifteen sixteen seventeen eighteen nineteen",
    )
    for word in line.split()
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
LETTERS = "abcdefghijklmnopqrst"


def toy_text(*, examples: int = 3000) -> ArrayTask:
    """Reviews of one to four clauses, negative, mixed or positive on the whole.

    A clause praises or blames; `not` turns that round, `very` counts it twice, and a clause after `but` counts twice as
    well: words alone do not tell the class.
    """
    rng = random.Random(0)
    reviews = [_review(rng) for _ in range(examples + examples // 4)]
    texts = [pieces(text, "words") for text, _ in reviews]
    known = Vocabulary.of(texts, "words", 100)
    rows = [known.encode(text) for text in texts]
    length = chosen_length(rows, 0, 64, "toy_text")
    info = TaskInfo("toy_text", (Port("tokens", (length,)),), len(VERDICTS), vocabulary=len(known), padding=PADDING)
    whole = Arrays((known.padded(rows, length),), np.array([verdict for _, verdict in reviews]))
    train, test = whole.take(np.arange(examples)), whole.take(np.arange(examples, len(reviews)))
    return ArrayTask(info, train, lambda: test, facts=known.facts | {"classes": list(VERDICTS)})


def toy_language(*, length: int = 48, sentences: int = 2500) -> ArrayTask:
    """The next character of sums and comparisons written in words; whoever can add tells the results."""
    rng = random.Random(1)
    text = " ".join(_sum(rng) for _ in range(sentences))
    return language_of(text, "toy_language", level="characters", length=length, vocabulary=100)


def toy_reverse(*, examples: int = 3000, longest: int = 10) -> ArrayTask:
    """From 3 to `longest` letters to the same letters backwards."""
    rng = random.Random(2)
    sources = [[rng.choice(LETTERS) for _ in range(rng.randint(3, longest))] for _ in range(examples + examples // 4)]
    known = Vocabulary.of(sources, "characters", 100)
    rows = range(examples), range(examples, len(sources))
    return task_of(sources, [s[::-1] for s in sources], known, (longest, longest + 1), rows, "toy_reverse")


def _review(rng: random.Random) -> tuple[str, int]:
    """A text and the number of its verdict."""
    told, total = "", 0
    for topic in rng.sample(TOPICS, rng.randint(1, 4)):
        joint = rng.choice(("but", "and", ",")) if told else ""
        negated, strong, kind = rng.random() < 0.4, rng.random() < 0.4, rng.choice((PRAISE, BLAME))
        told += f" {joint} the {topic} was {'not ' * negated}{'very ' * strong}{rng.choice(kind)}"
        worth = (1 if kind is PRAISE else -1) * (-1 if negated else 1)
        total += worth * (1 + strong) * (2 if joint == "but" else 1)
    return f"{told} .".strip(), 1 + (total > 0) - (total < 0)


def _sum(rng: random.Random) -> str:
    a, b = rng.randint(0, 49), rng.randint(0, 49)
    kind = rng.randrange(3)
    if kind == 0:
        return f"{_word(a)} plus {_word(b)} is {_word(a + b)}."
    if kind == 1:
        return f"{_word(max(a, b))} minus {_word(min(a, b))} is {_word(abs(a - b))}."
    relation = "less than" if a < b else "more than" if a > b else "as much as"
    return f"{_word(a)} is {relation} {_word(b)}."


def _word(number: int) -> str:
    if number < 20:
        return SMALL[number]
    tens = TENS[number // 10 - 2]
    return f"{tens} {SMALL[number % 10]}" if number % 10 else tens
