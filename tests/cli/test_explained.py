"""What is printed of a strategy's model."""

from __future__ import annotations

from nas.cli.tables import model_text


def test_the_largest_share_comes_first_and_what_lost_its_weight_last() -> None:
    said = model_text({"params (cost)": 0.395, "chains": 0.6, "synflow (score)": 0.005})
    assert said == "chains 60%, params (cost) 40%; no weight left: synflow (score)"


def test_of_no_model_nothing_is_said() -> None:
    assert model_text({}) == ""
