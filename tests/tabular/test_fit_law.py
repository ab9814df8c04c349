"""The law of units: a x + b in place of x, in any column, changes no prediction. Likewise the target's units, and the
order of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unstuck.tabular.fit.estimators import Classifier, Regressor

AGREE = 1e-4
"""What the law allows; of a target's spread, for numbers."""
ROUNDING = 1e-9
"""Where rows come in another order, the mean of a target may end in another bit."""
ROWS = 48
KINDS = ("normal", "lognormal", "binary", "signs", "few", "constant", "gaps", "counts", "coarse", "empty")
TASKS = ("binary", "classes", "labels", "number", "numbers")
Table = tuple[np.ndarray, np.random.Generator]
Units = list[tuple[float, float]]
LITTLE: dict[str, Any] = {"lanes": 2, "epochs": 6, "random_state": 0}


def column(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One column of a kind, (ROWS,) float64."""
    normal = rng.standard_normal(ROWS)
    return {
        "normal": normal,
        "lognormal": np.exp(2 * normal),
        "binary": rng.integers(0, 2, ROWS) * 1.0,
        "signs": rng.choice([-1.0, 1.0], ROWS),
        "few": rng.choice([0.0, 1.0, 5.0], ROWS),
        "constant": np.full(ROWS, 3.7),
        "gaps": np.where(rng.random(ROWS) < 0.3, np.nan, normal),
        "counts": np.floor(50 * rng.random(ROWS)),
        # Whole numbers whose quartiles lie a power of two apart: every other one is the middle between grid points.
        "coarse": np.linspace(-16384, 16384, ROWS + 1)[rng.permutation(ROWS)].round() + rng.integers(0, 2, ROWS),
        "empty": np.full(ROWS, np.nan),
    }[kind]


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.random.Generator]:
    """(ROWS, 1 to 6) of columns of all kinds, of which one at least says something."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = ["normal", *draw(st.lists(st.sampled_from(KINDS), max_size=5))]
    return np.stack([column(kind, rng) for kind in kinds], axis=1), rng


@st.composite
def maps(draw: st.DrawFn, most: float = 12.0) -> tuple[float, float]:
    """a, of either sign and 1e-12 to 1e12 in size, and b in units of the mapped column's spread."""
    size = 10.0 ** draw(st.floats(-most, most))
    return draw(st.sampled_from([-1.0, 1.0])) * size, draw(st.floats(-1e3, 1e3))


def mapped(x: np.ndarray, units: list[tuple[float, float]]) -> np.ndarray:
    """a x + b in every column; `units` are taken in turn."""
    out = np.empty_like(x)
    for j, one in enumerate(x.T):
        (a, b), here = units[j % len(units)], one[np.isfinite(one)]
        spread = float(here.std()) if len(here) else 1.0
        out[:, j] = a * one + b * abs(a) * (spread or 1.0)
    return out


def target(task: str, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Something that the first column says, with noise."""
    said = x[:, 0] + 0.3 * rng.standard_normal(len(x))
    if task == "binary":
        return np.where(said > 0, "yes", "no")
    if task == "classes":
        return np.digitize(said, [-0.5, 0.5])
    if task == "labels":
        return np.stack([said > 0, x[:, 0] > 0.5, said < -0.5], axis=1).astype(int)
    return said if task == "number" else np.stack([said, np.exp(x[:, 0])], axis=1)


def answers(task: str, x: np.ndarray, y: np.ndarray, new: np.ndarray, **how: Any) -> np.ndarray:
    """Of an estimator that was fitted to x and y, for new rows."""
    if task in ("number", "numbers"):
        return Regressor(**how).fit(x, y).predict(new)
    return Classifier(**how).fit(x, y).predict_proba(new)


UNITS = st.lists(maps(), min_size=6, max_size=6)


def own(activation: str = "relu", **how: Any) -> dict[str, Any]:
    return LITTLE | {"hidden": (12,), "activation": activation} | how


def network(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, outputs))


def agree(task: str, x: np.ndarray, y: np.ndarray, other: np.ndarray, **how: Any) -> None:
    """Not only to what the law allows: to the bit."""
    here, there = answers(task, x, y, x, **how), answers(task, other, y, other, **how)
    np.testing.assert_allclose(there, here, rtol=0, atol=AGREE)
    np.testing.assert_array_equal(there, here)


@pytest.mark.net
@given(tables(), UNITS, st.sampled_from(TASKS), st.sampled_from(["relu", "silu", "tanh"]))
@settings(max_examples=50)
def test_unit_invariance_of_columns(table: Table, units: Units, task: str, activation: str) -> None:
    x, rng = table
    agree(task, x, target(task, x, rng), mapped(x, units), **own(activation))


@given(tables(), UNITS, st.sampled_from(TASKS))
@settings(max_examples=3)
def test_unit_invariance_of_the_ensemble(table: Table, units: Units, task: str) -> None:
    x, rng = table
    agree(task, x, target(task, x, rng), mapped(x, units), epochs=2, random_state=0)


@pytest.mark.net
@given(tables(), UNITS, st.sampled_from(TASKS))
@settings(max_examples=5)
def test_unit_invariance_of_a_users_module(table: Table, units: Units, task: str) -> None:
    x, rng = table
    agree(task, x, target(task, x, rng), mapped(x, units), module=network, epochs=4, random_state=0)


@given(tables(), UNITS)
@settings(max_examples=5)
def test_unit_invariance_of_partial_fit(table: Table, units: Units) -> None:
    x, rng = table
    y, other = target("number", x, rng), mapped(x, units)
    here, there = Regressor(hidden=8, random_state=0), Regressor(hidden=8, random_state=0)
    for part in (slice(30), slice(30, None)):
        here.partial_fit(x[part], y[part])
        there.partial_fit(other[part], y[part])
    np.testing.assert_allclose(there.predict(other), here.predict(x), rtol=0, atol=AGREE)


@pytest.mark.net
@given(tables(), maps(), st.sampled_from(["own", "module"]))
@settings(max_examples=10)
def test_unit_equivariance_of_the_target(table: Table, units: tuple[float, float], kind: str) -> None:
    x, rng = table
    y = target("number", x, rng)
    (a, b), how = units, own() if kind == "own" else {"module": network, "epochs": 3, "random_state": 0}
    other = a * y + b * abs(a) * y.std()
    here, there = (Regressor(**how).fit(x, one).predict(x) for one in (y, other))
    np.testing.assert_allclose((there - b * abs(a) * y.std()) / a, here, rtol=0, atol=AGREE * y.std())


@given(tables(), st.sampled_from(TASKS), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_row_order_invariance(table: Table, task: str, random: Any) -> None:
    x, rng = table
    y, order = target(task, x, rng), list(range(ROWS))
    random.shuffle(order)
    here, there = answers(task, x, y, x, **own()), answers(task, x[order], y[order], x, **own())
    np.testing.assert_allclose(there, here, rtol=0, atol=ROUNDING)


@given(tables(), st.lists(st.integers(-20, 20), min_size=6, max_size=6), st.sampled_from(TASKS))
@settings(max_examples=15)
def test_powers_of_two_are_exact_in_float32(table: Table, powers: list[int], task: str) -> None:
    x, rng = table
    y, x = target(task, x, rng), x.astype(np.float32)
    factors = np.array([(-1) ** p * 2.0**p for p in powers], np.float32)[: x.shape[1]]
    agree(task, x, y, x * factors, **own())


@pytest.mark.parametrize("task", TASKS)
def test_symmetric_columns_have_a_sign(task: str) -> None:
    """Columns whose two tails are alike: nothing in themselves says which end is up."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.standard_normal(ROWS), *(rng.permutation(np.tile([-1.0, 1.0], ROWS // 2)) for _ in range(3))], 1)
    y, order = target(task, x, rng), rng.permutation(ROWS)
    agree(task, x, y, x * [1, -1, -1e9, 1], **own())
    there = answers(task, x[order] * [1, -1, 1, -1], y[order], x * [1, -1, 1, -1], **own())
    np.testing.assert_allclose(there, answers(task, x, y, x, **own()), rtol=0, atol=ROUNDING)
