"""The scale of skill: its thresholds are in order, drawn as they are, and used by predicates that agree with it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.diagnosis import skill
from unstuck.diagnosis.skill import (
    CLOSE,
    ENOUGH,
    FAIR,
    FOLD,
    LEARNS,
    LEAST,
    NO_WORSE,
    PASSED,
    POOR,
    ROOM,
    SETTLED,
    SHOWS,
    STUCK,
    TIED,
    WELL,
    WORTH,
    differs,
    healed,
    learns,
    leaves_room,
    rising,
    settled,
    stuck,
    tied,
    worth_having,
)

skills = st.floats(-1, 1)


def test_the_drawing_shows_every_level_at_its_height() -> None:
    drawn = re.findall(r"^ +(-?[\d.]+) \|  ([A-Z_]+) ", skill.__doc__ or "", re.M)
    assert {name: float(height) for height, name in drawn} == {
        name: getattr(skill, name)
        for name in ("WELL", "ENOUGH", "PASSED", "FAIR", "SETTLED", "POOR", "LEARNS", "STUCK", "NO_WORSE")
    }
    heights = [float(height) for height, _ in drawn]
    assert heights == sorted(heights, reverse=True)


def test_the_drawing_orders_the_differences() -> None:
    line = next(line for line in (skill.__doc__ or "").splitlines() if line.startswith("Differences"))
    drawn = [(name, float(size)) for name, size in re.findall(r"([A-Z]+) (\d\.\d+)", line)]
    assert drawn == [(name, getattr(skill, name)) for name in ("TIED", "LEAST", "SHOWS", "CLOSE", "WORTH")]
    assert [size for _, size in drawn] == sorted(size for _, size in drawn)


def test_the_levels_are_in_order() -> None:
    assert 1 > WELL > ENOUGH > PASSED > FAIR > SETTLED > POOR > LEARNS > STUCK > 0 > NO_WORSE
    assert 0 < TIED < LEAST < SHOWS < CLOSE < WORTH


def test_what_is_worth_having_can_be_told_from_what_chance_does() -> None:
    assert WORTH > -NO_WORSE > LEAST
    assert STUCK + TIED < LEARNS, "a run that learns nothing is not taken for one that learns"


@given(skills)
def test_the_levels_exclude_each_other(value: float) -> None:
    assert not (stuck(value) and learns(value))
    assert not settled(value) or learns(value)
    assert leaves_room(value) or settled(value)


@given(skills, skills)
def test_a_difference_worth_having_is_a_difference(before: float, after: float) -> None:
    assert not worth_having(before, after) or differs(before, after)
    assert not differs(before, after) or not tied(before, after)
    assert not (differs(before, after) and differs(after, before))


@given(skills, skills)
def test_what_heals_has_learnt(before: float, after: float) -> None:
    assert not healed(before, after) or learns(after)


@given(skills, st.floats(0, 0.5))
def test_more_gain_is_never_worth_less(before: float, step: float) -> None:
    after = min(1.0, before + WORTH)
    assert not worth_having(before, after) or worth_having(before, after + step)
    assert not healed(before, after) or healed(before, after + step)


@pytest.mark.parametrize(("before", "after", "expected"), [
    (0.0, 0.2, True),
    (0.0, 0.1, False),
    (POOR - 0.05, FOLD * (POOR - 0.05) + 0.01, True),
    (0.5, 0.5 + ROOM * 0.5, True),
    (0.5, 0.7, False),
    (-5.0, 0.5, True),
    (-5.0, 0.1, False),
])  # fmt: skip
def test_healed(before: float, after: float, expected: bool) -> None:
    assert healed(before, after) is expected


@pytest.mark.parametrize(("before", "after", "expected"), [
    (0.1, 0.1 + WORTH, True),
    (0.1, 0.1 + CLOSE, False),
    (0.6, 0.6 + WORTH, False),
    (0.6, 0.81, True),
    (0.9, 1.0, False),
])  # fmt: skip
def test_a_run_that_learns_must_gain_half_of_what_is_left(before: float, after: float, expected: bool) -> None:
    assert worth_having(before, after) is expected


def test_a_curve_rises_if_its_last_quarter_lies_above_the_one_before() -> None:
    assert rising([i / 24 for i in range(24)])
    assert not rising([0.5] * 24)
    assert not rising([i / 24 for i in range(24)][::-1])
    assert not rising([0.0] * 23 + [0.1]), "one point is chance"
    assert not rising([])
    assert not rising([0.9])
