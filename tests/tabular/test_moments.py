"""Moments of a table are those of its parts, whatever the parts, the order, the offset and the gaps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.tabular.moments import BLOCK, Moments

FIELDS = ("count", "missing", "infinite", "mean", "spread", "min", "max")


@st.composite
def tables(draw: st.DrawFn, gaps: bool = True) -> np.ndarray:
    """Small tables whose columns have their own offset and scale, some constant, some with gaps."""
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    offset = draw(st.lists(st.floats(-1e6, 1e6), min_size=d, max_size=d))
    scale = draw(st.lists(st.sampled_from([0.0, 1e-3, 1.0, 1e5]), min_size=d, max_size=d))
    table = np.array(offset) + np.array(scale) * rng.standard_normal((n, d))
    if gaps:
        table[rng.random((n, d)) < draw(st.sampled_from([0.0, 0.2, 1.0]))] = np.nan
        table[rng.random((n, d)) < draw(st.sampled_from([0.0, 0.1]))] = np.inf
    return table


def same(a: Moments, b: Moments) -> None:
    """Equal to 1e-12 of the spread, and of what the digits of the column carry."""
    for name in ("count", "missing", "infinite", "min", "max"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    digits = np.where(a.count > 0, np.maximum(np.abs(a.min), np.abs(a.max)), 0) * 2.3e-16
    assert (np.abs(a.mean - b.mean) <= 1e-12 * a.spread + digits).all()
    assert (np.abs(a.spread - b.spread) <= 1e-12 * a.spread + 1e-3 * digits).all()


def exact(column: list[float]) -> tuple[float, float]:
    """Mean and spread of some floats in rational numbers, rounded at the very end."""
    whole = [Fraction(x) for x in column]
    mean = sum(whole) / len(whole)
    square = sum((x - mean) ** 2 for x in whole) / len(whole)
    return float(mean), float(square) ** 0.5


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=30))
def test_moments_equal_exact_arithmetic(column: list[float]) -> None:
    found = Moments.of(np.array(column)[:, None])
    mean, spread = exact(column)
    assert found.mean[0] == pytest.approx(mean, rel=1e-15, abs=1e-13 * spread)
    assert found.spread[0] == pytest.approx(spread, rel=1e-12, abs=0)


@given(tables(), st.data())
def test_any_split_merges_to_the_whole(table: np.ndarray, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=6)))
    merged = Moments.none(table.shape[1])
    for part in np.split(table, cuts):
        merged = merged.merge(Moments.of(part))
    same(Moments.of(table), merged)


@given(tables(), tables(), tables())
def test_merging_is_associative_and_has_a_neutral_element(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    d = min(x.shape[1] for x in (a, b, c))
    one, two, three = (Moments.of(x[:, :d]) for x in (a, b, c))
    same(one.merge(two).merge(three), one.merge(two.merge(three)))
    same(one.merge(two), two.merge(one))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one.merge(Moments.none(d)), name), getattr(one, name))
        np.testing.assert_array_equal(getattr(Moments.none(d).merge(one), name), getattr(one, name))


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(table: np.ndarray, random) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    same(Moments.of(table), Moments.of(table[order]))


@given(tables(gaps=False), st.sampled_from([-4.0, -1.0, 0.5, 8.0]), st.integers(-1000, 1000))
def test_affine_maps_carry_over(table: np.ndarray, a: float, b: int) -> None:
    table = np.round(table, 2)
    x, y = Moments.of(table), Moments.of(a * table + b)
    digits = 1e-15 * (np.abs(a) * np.maximum(np.abs(x.min), np.abs(x.max)) + abs(b))
    assert (np.abs(y.mean - (a * x.mean + b)) <= 1e-12 * x.spread + digits).all()
    assert (np.abs(y.spread - abs(a) * x.spread) <= 1e-12 * y.spread + digits).all()


@given(tables(), st.data())
def test_an_integer_weight_repeats_a_row(table: np.ndarray, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(table), max_size=len(table)))
    same(Moments.of(np.repeat(table, weights, axis=0)), Moments.of(table, weights))


@given(tables())
def test_gaps_are_left_out_and_counted(table: np.ndarray) -> None:
    found = Moments.of(table)
    for j, column in enumerate(table.T):
        here = column[np.isfinite(column)]
        assert found.count[j] == len(here)
        assert found.missing[j] == len(column) - len(here)
        assert found.infinite[j] == np.isinf(column).sum()
        if len(here):
            alone = Moments.of(here[:, None])
            assert (found.mean[j], found.spread[j]) == pytest.approx((alone.mean[0], alone.spread[0]), rel=1e-12)
        else:
            assert (found.mean[j], found.spread[j], found.min[j], found.max[j]) == (0, 0, np.inf, -np.inf)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 200), st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_a_constant_is_itself_and_has_no_spread(value: float, n: int, d: int) -> None:
    found = Moments.of(np.full((n, d), value)).merge(Moments.of(np.full((7, d), value)))
    assert (found.mean == value).all()
    assert (found.spread == 0).all() and found.constant.all()


@pytest.mark.parametrize("parts", [1, 2, 7, 500])
def test_a_small_spread_far_from_zero_keeps_its_digits(parts: int) -> None:
    column = 1e9 + 1e-3 * np.random.default_rng(0).standard_normal(5000)
    found = Moments.none(1)
    for part in np.array_split(column[:, None], parts):
        found = found.merge(Moments.of(part))
    mean, spread = exact(list(column))
    assert found.spread[0] == pytest.approx(spread, rel=1e-11)
    assert found.mean[0] == pytest.approx(mean, rel=2e-16)
    assert not found.constant[0]


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
def test_squares_outside_float64_do_no_harm(size: float) -> None:
    column = np.random.default_rng(0).standard_normal((1000, 1))
    found, plain = Moments.of(column * size), Moments.of(column)
    assert found.spread[0] == pytest.approx(plain.spread[0] * size, rel=1e-12, abs=0)
    assert found.merge(found).spread[0] == pytest.approx(plain.spread[0] * size, rel=1e-12, abs=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8, np.int8, np.int64, np.bool_, np.longdouble])
def test_every_dtype_is_measured_in_float64(dtype: type) -> None:
    table = (100 * np.random.default_rng(0).random((300, 3))).astype(dtype)
    same(Moments.of(table), Moments.of(table.astype(np.float64)))
    assert Moments.of(table).mean.dtype == np.float64


def test_single_floats_lose_nothing_to_their_sum() -> None:
    table = (1e4 + np.random.default_rng(0).random((BLOCK, 1))).astype(np.float32)
    found = Moments.of(table)
    assert found.spread[0] == pytest.approx(table.astype(np.float64).std(), rel=1e-12)


def test_blocks_and_layouts_agree() -> None:
    table = np.random.default_rng(0).standard_normal((BLOCK // 70, 150)) * np.arange(150) + 9
    same(Moments.of(table), Moments.of(np.asfortranarray(table)))
    narrow = [Moments.of(table[:, start : start + 50]) for start in range(0, 150, 50)]
    whole = Moments.of(table)
    for start, part in zip(range(0, 150, 50), narrow, strict=True):
        same(whole.take(range(start, start + 50)), part)


def test_the_table_is_left_alone_and_the_result_is_frozen() -> None:
    table = np.array([[1.0, np.nan], [3.0, 4.0]])
    before = table.copy()
    found = Moments.of(table)
    np.testing.assert_array_equal(table, before)
    with pytest.raises(ValueError, match="read-only"):
        found.mean[0] = 5.0


def test_rounding_is_no_spread() -> None:
    column = np.array([0.1 + 0.2, 0.3] * 5)[:, None]
    assert Moments.of(column).constant.all()
    assert not Moments.of(np.array([[1e-30], [2e-30]])).constant.any()


@given(tables())
def test_pack_and_unpack_round_trip(table: np.ndarray) -> None:
    found = Moments.of(table)
    back = Moments.unpacked(found.packed().tolist())
    for name in (*FIELDS, "rest"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))


def test_no_rows_and_no_columns() -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(Moments.of(np.empty((0, 3))), name), getattr(Moments.none(3), name))
    assert Moments.of(np.empty((5, 0))).d == 0


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((2, 2, 2)), [["a"]], np.array([[1j]]), np.array([[None]])])
def test_invalid_tables_are_refused(bad) -> None:
    with pytest.raises(ValueError, match="rows, columns"):
        Moments.of(bad)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, np.nan], [[1.0], [1.0]]])
def test_invalid_weights_are_refused(weights) -> None:
    with pytest.raises(ValueError, match="weights"):
        Moments.of([[1.0], [2.0]], weights)


def test_different_widths_do_not_merge() -> None:
    with pytest.raises(ValueError, match="3 and of 4"):
        Moments.none(3).merge(Moments.none(4))
    with pytest.raises(ValueError, match="packed"):
        Moments.unpacked(np.zeros((2, 3)))
