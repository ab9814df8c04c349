"""The verdict on synthetic skills: calibrated without a difference, sure of large ones, undecided without power."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, rankdata, wilcoxon

from unstuck.diagnosis.experiment import Arm
from unstuck.diagnosis.skill import LEAST, SHORTEST, WORTH
from unstuck.diagnosis.verdict import Judgement, interval, judge, p_value

LANES = 8
skills = st.lists(st.floats(-1, 1), min_size=LANES, max_size=LANES)
FLAT = (0.9,) * 24
Curve = Callable[[int], float]


def judged(one: list[float], other: list[float], curve: tuple[float, ...] = FLAT, steps: int = 400) -> Judgement:
    return judge(Arm(lanes=tuple(one)), Arm(curve, lanes=tuple(other)), steps)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2, 0.5])
def test_equal_programs_are_never_called_better_or_worse_more_than_5_times_in_100(noise: float) -> None:
    draw = random.Random(0)
    arms = lambda: [max(-1, min(1, draw.gauss(0.4, noise))) for _ in range(LANES)]
    words = [judged(arms(), arms()).word for _ in range(2000)]
    assert sum(word in ("heals", "helps", "harms") for word in words) <= 0.05 * len(words)


@pytest.mark.parametrize(("before", "after", "expected"), [
    (0.0, 0.9, "heals"), (0.02, 0.3, "heals"), (0.1, 0.4, "heals"), (0.7, 0.95, "heals"),
    (0.5, 0.65, "helps"), (0.3, 0.4, "helps"), (0.9, 0.91, "no-difference"),
    (0.0, 0.0, "undecided"), (0.8, 0.3, "harms"),
])  # fmt: skip
def test_words(before: float, after: float, expected: str) -> None:
    draw = random.Random(1)
    arms = [[level + draw.uniform(-0.02, 0.02) for _ in range(LANES)] for level in (before, after)]
    assert judged(*arms).word == expected


@pytest.mark.parametrize(("steps", "level", "curve", "word"), [
    (400, 0.9, FLAT, "no-difference"),
    (SHORTEST - 1, 0.9, FLAT, "undecided"),
    (400, 0.1, (0.1,) * 24, "undecided"),
    (400, 0.7, tuple(i / 32 for i in range(24)), "undecided"),
    (400, 0.7, (0.7,) * 24, "no-difference"),
])  # fmt: skip
def test_no_difference_needs_a_course_on_which_one_could_show(
    steps: int, level: float, curve: tuple[float, ...], word: str
) -> None:
    lanes = [level + 0.001 * i for i in range(LANES)]
    verdict = judged(lanes, lanes, curve, steps)
    assert verdict.word == word
    assert f"{steps} steps" in verdict.power


def test_a_wide_interval_is_undecided() -> None:
    draw = random.Random(3)
    one, other = ([draw.gauss(0.8, 0.3) for _ in range(LANES)] for _ in range(2))
    verdict = judged(one, other)
    assert verdict.interval[1] >= WORTH
    assert verdict.word == "undecided"


LATER = 400
"""The longest course simulated: what shows there and was refuted earlier was refuted wrongly."""


def late(start: float, top: float = 0.9) -> Curve:
    """A run that learns nothing before a step, and then quickly."""
    return lambda step: top / (1 + math.exp(-(step - start) / 10))


def slow(pace: float, top: float = 0.9) -> Curve:
    """A run that approaches its end exponentially."""
    return lambda step: top * (1 - math.exp(-step / pace))


CURVES: dict[str, tuple[Curve, Curve]] = {
    "late starter against one that never starts": (lambda step: 0.0, late(300)),
    "late starter against a later one": (late(900), late(250)),
    "slow against slower": (slow(2000), slow(150)),
    "the same plateau, then one goes on": (lambda step: 0.3, lambda step: 0.3 + late(320, 0.6)(step)),
    "both learn at once, equally": (slow(8), slow(8)),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("noise", [0.005, 0.03, 0.1])
@pytest.mark.parametrize("steps", [2, 10, 40, 400])
def test_nothing_is_refuted_that_later_shows_a_difference(name: str, noise: float, steps: int) -> None:
    draw, without, treated = random.Random(7), *CURVES[name]
    simulate = lambda curve, upto: arm_of(curve, upto, noise, draw)
    wrong = 0
    for _ in range(100):
        early = judge(simulate(without, steps), simulate(treated, steps), steps)
        end = judge(simulate(without, LATER), simulate(treated, LATER), LATER)
        wrong += early.word == "no-difference" and end.word in ("heals", "helps")
    assert wrong <= 5


def arm_of(curve: Curve, steps: int, noise: float, draw: random.Random) -> Arm:
    """Lanes of a run of so many steps: each point is noisy, and each lane has an offset of its own."""
    at = [max(1, steps * (i + 1) // 24) for i in range(24)]
    points = tuple(min(1.0, curve(step) + draw.gauss(0, noise)) for step in at)
    end = sum(points[-6:]) / 6
    return Arm(points, lanes=tuple(min(1.0, end + draw.gauss(0, noise)) for _ in range(LANES)))


def test_a_run_that_learns_anyway_is_refuted_on_a_long_course() -> None:
    draw, curve = random.Random(5), slow(8)
    words = [judge(arm_of(curve, 400, 0.01, draw), arm_of(curve, 400, 0.01, draw), 400).word for _ in range(100)]
    assert words.count("no-difference") >= 95


@given(skills)
def test_the_same_lanes_never_differ(lanes: list[float]) -> None:
    verdict = judged(lanes, lanes)
    assert verdict.word in ("no-difference", "undecided")
    assert verdict.gain == 0.0


@given(skills, skills)
@settings(max_examples=200)
def test_better_one_way_is_worse_the_other(one: list[float], other: list[float]) -> None:
    if judged(one, other).word in ("heals", "helps"):
        assert judged(other, one).word == "harms"


@given(skills, st.floats(0, 0.8 * LEAST))
def test_a_small_difference_is_none_however_certain(lanes: list[float], step: float) -> None:
    assert judged(lanes, [x + step for x in lanes]).word in ("no-difference", "undecided")


@given(skills, skills)
def test_p_is_the_exact_one_of_wilcoxon(one: list[float], other: list[float]) -> None:
    differences = [b - a for a, b in zip(one, other, strict=True)]
    sizes = [abs(d) for d in differences]
    assume(0 not in sizes and len(set(sizes)) == LANES)
    expected = wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert p_value(one, other) == pytest.approx(expected)


@given(st.lists(st.integers(-3, 4), min_size=LANES, max_size=LANES).filter(any))
@settings(max_examples=30)
def test_ties_and_equal_pairs_are_counted_out_exactly(steps: list[int]) -> None:
    moved = [d for d in steps if d]
    ranks = rankdata([abs(d) for d in moved])
    signed = [r if d > 0 else -r for r, d in zip(ranks, moved, strict=True)]
    expected = 0.5 if moved[0] > 0 else 1.0
    if len(moved) > 1:  # by flipping signs in all 2^n ways
        positive = lambda r: sum(x for x in r if x > 0)
        every = permutation_test(
            (signed,), positive, permutation_type="samples", alternative="greater", n_resamples=1e6
        )
        expected = every.pvalue
    assert p_value([0.0] * LANES, [d / 8 for d in steps]) == pytest.approx(expected)


def test_the_interval_covers_the_true_difference_95_times_in_100() -> None:
    draw, covered = random.Random(11), 0
    for _ in range(2000):
        one = [draw.gauss(0, 0.1) for _ in range(LANES)]
        low, high = interval(one, [x + 0.1 + draw.gauss(0, 0.1) for x in one])
        covered += low <= 0.1 <= high
    assert 0.94 <= covered / 2000 <= 0.975


def test_few_lanes_have_no_interval() -> None:
    assert interval([0.0] * 5, [1.0] * 5) == (-math.inf, math.inf)
