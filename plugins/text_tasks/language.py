"""Language models: the next token of a text (Shannon 1951), or tokens that were hidden in it (Devlin et al. 2019)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import ConfigError, TaskError
from nas.space.ports import Port, TaskInfo
from nas.train.files import read_text
from nas.train.task import IGNORE, Array, Arrays, ArrayTask

from .tokens import MASK, SPECIAL, Level, Vocabulary, check_level, pieces

if TYPE_CHECKING:
    from torch import Generator, Tensor

TEST = 0.1
"""The last part of a text is for the test."""

HIDDEN = 0.15


def language(
    *,
    path: str,
    level: Level = "characters",
    length: int = 64,
    vocabulary: int = 10_000,
    limit: int = 0,
    vocabulary_from: str = "",
) -> ArrayTask:
    """The next token at every position of windows of a text file; its last tenth is the test part.

    level: ``characters``, or ``words`` in lower case.
    length: tokens a window; windows do not overlap.
    vocabulary: how many different tokens are known, the most frequent of what is searched on.
    limit: tokens of the text that are read, from its beginning; 0 is all.
    vocabulary_from: the folder of a run or an exported network whose vocabulary is to be used.

    Raises ConfigError or TaskError.
    """
    return language_of(
        read_text(path),
        path,
        level=level,
        length=length,
        vocabulary=vocabulary,
        limit=limit,
        vocabulary_from=vocabulary_from,
    )


def masked(
    *,
    path: str,
    level: Level = "words",
    length: int = 64,
    vocabulary: int = 10_000,
    limit: int = 0,
    vocabulary_from: str = "",
) -> ArrayTask:
    """Tokens hidden in windows of a text file, a start for other tasks on text; options as of `language`.

    15 % of the tokens are asked for: of them 80 % are hidden, 10 % are another token, and 10 % stay, as in BERT. Which
    ones is drawn anew for every batch that is trained on (Liu et al. 2019, RoBERTa), once for validation and test.
    Start another search from the run with ``--recipe init=RUN`` and the task option ``vocabulary_from=RUN``.
    """
    task = language_of(
        read_text(path),
        path,
        level=level,
        length=length,
        vocabulary=vocabulary,
        limit=limit,
        vocabulary_from=vocabulary_from,
    )
    size = task.info.vocabulary
    train = hidden(task.train_arrays().x[0], size, 0)
    return replace(
        task,
        train=train,
        test=lambda: hidden(task.test_arrays().x[0], size, 1),
        redraw=partial(hidden_anew, vocabulary=size),
        objective="val_loss",
        characters=(),
    )


def language_of(
    text: str, where: str, *, level: Level, length: int, vocabulary: int, limit: int = 0, vocabulary_from: str = ""
) -> ArrayTask:
    """The next token of `text`; see `language`."""
    check_level(level, "language")
    tokens = pieces(text, level)[: limit or None]
    if length < 2:
        raise ConfigError(f"{where}: expected windows of at least 2 tokens, got length {length}")
    end = len(tokens) - max(int(len(tokens) * TEST), length + 1)
    if end < 2 * length + 1:
        raise TaskError(
            f"{where}: expected text for at least 3 windows of {length} {level}, got {len(tokens)}; "
            "give a smaller length"
        )
    known = Vocabulary.chosen([tokens[:end]], level, vocabulary, vocabulary_from)
    numbers = np.array(known.encode(tokens), dtype=np.int64)
    info = TaskInfo(Path(where).name.partition(".")[0], (Port("tokens", (length,)),), len(known), "token", len(known))
    return ArrayTask(
        info,
        windows(numbers[:end], length),
        lambda: windows(numbers[end:], length),
        objective="val_bpc" if level == "characters" else "val_perplexity",
        characters=known.characters,
        facts=known.facts,
    )


def windows(numbers: Array, length: int) -> Arrays:
    """Windows (N, length) side by side, and the token after each of theirs."""
    count = (len(numbers) - 1) // length
    x = numbers[: count * length].reshape(count, length)
    return Arrays((x,), numbers[1 : count * length + 1].reshape(count, length))


def hidden(x: Array, vocabulary: int, seed: int) -> Arrays:
    """Windows with some tokens hidden, and these tokens; at least one a window."""
    rng = np.random.default_rng([seed, *x.shape])
    asked = rng.random(x.shape) < HIDDEN
    asked[np.arange(len(x)), rng.integers(x.shape[1], size=len(x))] = True
    how = rng.random(x.shape)
    other = rng.integers(len(SPECIAL), vocabulary, x.shape)
    shown = np.where(asked & (how < 0.8), MASK, np.where(asked & (how < 0.9), other, x))
    return Arrays((shown,), np.where(asked, x, IGNORE))


def hidden_anew(x: Tensor, y: Tensor, draws: Generator, *, vocabulary: int) -> tuple[Tensor, Tensor]:
    """As `hidden`, of tokens (B, L) of which some are hidden already, and what these were."""
    import torch

    asked = torch.rand(x.shape, generator=draws) < HIDDEN
    asked[torch.arange(len(x)), torch.randint(x.shape[1], (len(x),), generator=draws)] = True
    how = torch.rand(x.shape, generator=draws).to(x.device)
    other = torch.randint(len(SPECIAL), vocabulary, x.shape, generator=draws).to(x.device)
    asked = asked.to(x.device)
    tokens = torch.where(y == IGNORE, x, y)
    shown = torch.where(asked & (how < 0.8), MASK, torch.where(asked & (how < 0.9), other, tokens))
    return shown, torch.where(asked, tokens, IGNORE)
