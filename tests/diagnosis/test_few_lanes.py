"""Student's t on three or four pairs: exact tails, calibrated on equal programs, sure of large differences."""

from __future__ import annotations

import random

import pytest
from scipy.stats import t as student

from unstuck.diagnosis.experiment import Arm
from unstuck.diagnosis.few_lanes import interval, p_value, quantile, upper_tail
from unstuck.diagnosis.verdict import judge


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5])
def test_tails_and_quantiles_are_those_of_students_t(freedom: int) -> None:
    for value in (-3.0, 0.0, 0.7, 4.5, 30.0):
        assert upper_tail(value, freedom) == pytest.approx(student.sf(value, freedom), rel=1e-6, abs=1e-12)
    assert quantile(0.025, freedom) == pytest.approx(student.isf(0.025, freedom), rel=1e-6)


@pytest.mark.parametrize("lanes", [3, 4])
@pytest.mark.parametrize("noise", [0.002, 0.05, 0.3])
def test_equal_programs_are_called_better_or_worse_at_most_3_times_in_100(lanes: int, noise: float) -> None:
    draw = random.Random(0)
    arm = lambda: Arm((0.4,) * 24, lanes=tuple(draw.gauss(0.4, noise) for _ in range(lanes)))
    words = [judge(arm(), arm(), 400).word for _ in range(2000)]
    assert sum(word in ("heals", "helps", "harms") for word in words) <= 0.03 * len(words)


@pytest.mark.parametrize("lanes", [3, 4])
def test_a_large_difference_shows_in_few_lanes(lanes: int) -> None:
    low, high = [0.02 * i for i in range(lanes)], [0.8 + 0.03 * i for i in range(lanes)]
    verdict = judge(Arm(lanes=tuple(low)), Arm((0.9,) * 24, lanes=tuple(high)), 40)
    assert verdict.word == "heals"
    assert verdict.interval[0] > 0.5
    assert verdict.power == f"{lanes} lanes, 40 steps"


def test_no_difference_can_be_shown_by_four_lanes() -> None:
    lanes = (0.93, 0.94, 0.92, 0.95)
    assert judge(Arm(lanes=lanes), Arm((0.93,) * 24, lanes=lanes), 400).word == "no-difference"


def test_a_single_pair_shows_nothing() -> None:
    assert p_value([0.0], [1.0]) == 1.0
    assert interval([0.0], [1.0], 0.025)[1] == float("inf")
