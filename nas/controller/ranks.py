"""Ranks: what scores of different scales, or proxies and results, have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby


def ranks(values: Sequence[float]) -> list[float]:
    """1 for the smallest to n for the largest; equal ones share the mean, and NaN counts as smaller than all."""
    keys = [-math.inf if math.isnan(value) else value for value in values]
    found = [0.0] * len(keys)
    below = 0
    for _, group in groupby(sorted(range(len(keys)), key=keys.__getitem__), key=keys.__getitem__):
        tied = list(group)
        for i in tied:
            found[i] = below + (len(tied) + 1) / 2
        below += len(tied)
    return found


def aggregate_ranks(columns: Sequence[Sequence[float]]) -> list[float]:
    """The sum over columns of log(rank / n): a candidate must be good in each (AZ-NAS, Lee & Ham, CVPR 2024).

    columns: the scores of the same n candidates by several proxies, larger being better. 0 is the best there can be.
    """
    placed = [ranks(column) for column in columns]
    return [sum(math.log(rank / len(placed[0])) for rank in row) for row in zip(*placed, strict=True)]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's, over the places where both are finite; NaN where fewer than three are, or all are equal."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(pairs) < 3:
        return math.nan
    first, second = (ranks(column) for column in zip(*pairs, strict=True))
    middle = (len(pairs) + 1) / 2
    x, y = ([rank - middle for rank in column] for column in (first, second))
    scale = math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))
    return sum(a * b for a, b in zip(x, y, strict=True)) / scale if scale else math.nan
