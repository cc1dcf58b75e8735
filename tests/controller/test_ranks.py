from __future__ import annotations

import math

import pytest

from nas.controller.ranks import aggregate_ranks, rank_correlation, ranks


def test_ranks_share_ties_and_put_nan_below_all() -> None:
    assert ranks([3.0, -1.0, 2.0, -1.0]) == [4, 1.5, 3, 1.5]
    assert ranks([0.0, math.nan, -math.inf, math.inf]) == [3, 1.5, 1.5, 4]
    assert ranks([]) == []


def test_an_aggregate_wants_all_ranks_good() -> None:
    joint = aggregate_ranks([[1, 2, 3, 4], [4, 2, 3, 1]])
    assert joint[2] == max(joint)  # third and third beat first and last
    assert joint[0] == pytest.approx(joint[3]) == pytest.approx(math.log(1 / 4))
    assert aggregate_ranks([[5.0, 7.0], [0.1, 0.2]])[1] == 0


def test_rank_correlation_is_that_of_scipy() -> None:
    from scipy.stats import spearmanr

    one, other = [1.0, 5.0, 2.0, 2.0, 9.0], [2.0, 1.0, 1.0, 4.0, 7.0]
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other)[0])
    assert rank_correlation([*one, math.nan], [*other, 3.0]) == rank_correlation(one, other)


@pytest.mark.parametrize(("one", "other"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_without_an_order_there_is_no_correlation(one: list[float], other: list[float]) -> None:
    assert math.isnan(rank_correlation(one, other))
