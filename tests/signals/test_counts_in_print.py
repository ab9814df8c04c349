"""Printed counts: `78/1000` is a share of what it counts, whatever the words say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.signals.printed import Number, Printed


def only(text: str) -> Number:
    (line,) = Printed.of(text).lines
    return line.numbers[0]


@pytest.mark.parametrize(("text", "share"), [
    ("Test set: Accuracy: 78/1000 (8%)", 0.078),
    ("accuracy 9842 / 10000", 0.9842),
    ("accuracy 78", 0.78),
    ("accuracy 0.78", 0.78),
    ("accuracy 78/1000.5", 0.78),
    ("accuracy 0.5/1", 0.5),
    ("accuracy 7/0", 0.07),
])  # fmt: skip
def test_the_share_that_a_printed_accuracy_means(text: str, share: float) -> None:
    assert only(text).share == pytest.approx(share)


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_count_is_a_share_of_the_whole(whole: int, hits: int) -> None:
    number = only(f"correct: {min(hits, whole)}/{whole}")
    assert number.value == min(hits, whole), "the number that left a tensor"
    assert number.share == number.scaled.value == pytest.approx(min(hits, whole) / whole)
