"""The skill curve in characters."""

from __future__ import annotations

from unstuck.report.plot import plot


def test_both_curves_are_named_at_their_ends() -> None:
    lines = plot((0.0, -9.0, -30.0), (0.0, 0.5, float("nan"), 0.9), 50, 80)
    assert any("treated 0.9" in line for line in lines) and any("as written -30" in line for line in lines)


def test_too_few_points_or_columns_draw_nothing() -> None:
    assert plot((), (0.1,), 50, 80) == []
    assert plot((0.0, 1.0), (0.0, 1.0), 50, 20) == []


def test_curves_that_end_alike_have_both_names() -> None:
    flat = plot((0.0, 0.0), (0.0, 0.0), 50, 80)
    assert sum("treated 0" in line or "as written 0" in line for line in flat) == 2
