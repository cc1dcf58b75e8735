"""Small texts made by code, always the same: something to try networks on tokens with, without a download."""

from __future__ import annotations

import random

import numpy as np

from nas.space.ports import Port, TaskInfo
from nas.train.task import Arrays, ArrayTask

from .language import language_of
from .pairs import task_of
from .tokens import Vocabulary, chosen_length, pieces

PEOPLE = ("anna", "bert", "carla", "dora")
THINGS = ("ball", "key", "book")
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
    """Stories in which people take, give and swap things; the class is who has the ball at the end (4 people).

    The last name in a story is right less than half the time: what happened to the ball must be followed.
    """
    rng = random.Random(0)
    stories = [_story(rng) for _ in range(examples + examples // 4)]
    known = Vocabulary.of([pieces(text, "words") for text, _ in stories], "words", 100)
    rows = [known.encode(pieces(text, "words")) for text, _ in stories]
    length = chosen_length(rows, 0, 64, "toy_text")
    info = TaskInfo("toy_text", (Port("tokens", (length,)),), len(PEOPLE), vocabulary=len(known))
    whole = Arrays((known.padded(rows, length),), np.array([holder for _, holder in stories]))
    train, test = whole.take(np.arange(examples)), whole.take(np.arange(examples, len(stories)))
    return ArrayTask(info, train, lambda: test, facts=known.facts | {"classes": list(PEOPLE)})


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


def _story(rng: random.Random) -> tuple[str, int]:
    """A text and the number of who has the ball at its end."""
    holds = {thing: rng.choice(PEOPLE) for thing in THINGS}
    told = [f"{who} has the {thing}" for thing, who in rng.sample(sorted(holds.items()), len(holds))]
    for _ in range(rng.randint(2, 6)):
        thing = rng.choice(THINGS)
        before = holds[thing]
        after = rng.choice([who for who in PEOPLE if who != before])
        give, take = f"{before} gives {after} the {thing}", f"{after} takes the {thing} from {before}"
        told.append(rng.choice((give, take)))
        holds[thing] = after
    return " . ".join(told) + " .", PEOPLE.index(holds["ball"])


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
