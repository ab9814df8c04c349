"""The verdict on synthetic skills: calibrated under no difference, sure of large ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, rankdata, wilcoxon

from unstuck.diagnosis.verdict import LEAST, judge

LANES = 8
skills = st.lists(st.floats(-1, 1), min_size=LANES, max_size=LANES)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2, 0.5])
def test_equal_programs_come_out_as_no_difference_95_times_in_100(noise: float) -> None:
    draw = random.Random(0)
    arms = lambda: [max(-1, min(1, draw.gauss(0.4, noise))) for _ in range(LANES)]
    words = [judge(arms(), arms()).word for _ in range(2000)]
    assert words.count("no-difference") >= 0.95 * len(words)


@pytest.mark.parametrize(("before", "after", "expected"), [
    (0.0, 0.9, "heals"), (0.02, 0.3, "heals"), (0.1, 0.4, "heals"), (0.7, 0.95, "heals"),
    (0.5, 0.65, "helps"), (0.3, 0.4, "helps"), (0.9, 0.91, "no-difference"),
    (0.0, 0.0, "no-difference"), (0.8, 0.3, "harms"),
])  # fmt: skip
def test_the_words(before: float, after: float, expected: str) -> None:
    draw = random.Random(1)
    arms = [[level + draw.uniform(-0.02, 0.02) for _ in range(LANES)] for level in (before, after)]
    assert judge(*arms).word == expected


@given(skills)
def test_the_same_lanes_are_no_difference(lanes: list[float]) -> None:
    verdict = judge(lanes, lanes)
    assert (verdict.word, verdict.gain) == ("no-difference", 0.0)


@given(skills, skills)
@settings(max_examples=200)
def test_what_heals_one_way_harms_the_other(one: list[float], other: list[float]) -> None:
    better = {"heals", "helps"}
    if judge(one, other).word in better:
        assert judge(other, one).word == "harms"


@given(skills, st.floats(0, 0.8 * LEAST))
def test_a_small_difference_is_none_however_certain(lanes: list[float], step: float) -> None:
    assert judge(lanes, [x + step for x in lanes]).word == "no-difference"


@given(skills, skills)
def test_its_p_is_the_exact_one_of_wilcoxon(one: list[float], other: list[float]) -> None:
    differences = [b - a for a, b in zip(one, other, strict=True)]
    sizes = [abs(d) for d in differences]
    if 0 in sizes or len(set(sizes)) < LANES:
        return
    expected = wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert judge(one, other).p == pytest.approx(expected)


@given(st.lists(st.integers(-3, 4), min_size=LANES, max_size=LANES).filter(any))
@settings(max_examples=30)
def test_ties_and_equal_pairs_are_counted_out_exactly(steps: list[int]) -> None:
    moved = [d for d in steps if d]
    ranks = rankdata([abs(d) for d in moved])
    signed = [r if d > 0 else -r for r, d in zip(ranks, moved, strict=True)]
    every = (
        permutation_test(  # by flipping signs in all 2^n ways
            (signed,),
            lambda r: sum(x for x in r if x > 0),
            permutation_type="samples",
            alternative="greater",
            n_resamples=1e6,
        )
        if len(moved) > 1
        else None
    )
    expected = every.pvalue if every else (0.5 if moved[0] > 0 else 1.0)
    assert judge([0.0] * LANES, [d / 8 for d in steps]).p == pytest.approx(expected)
