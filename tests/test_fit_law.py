"""The law of units: a x + b in place of x, in any column, changes no prediction. Likewise the target's units, and the
order of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unstuck.fit.estimators import Classifier, Regressor

AGREE = 1e-4
"""What the law allows; of a target's spread, for numbers."""
ROWS = 48
KINDS = ("normal", "lognormal", "binary", "signs", "few", "constant", "gaps", "counts", "coarse", "empty")
TASKS = ("binary", "classes", "labels", "number", "numbers")
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


@given(tables(), st.lists(maps(), min_size=6, max_size=6), st.sampled_from(TASKS), st.sampled_from(["relu", "silu", "tanh"]))
@settings(max_examples=60)
def test_units_of_the_columns_leave_no_trace(table, units, task: str, activation: str) -> None:
    x, rng = table
    y, other = target(task, x, rng), mapped(x, units)
    how = {"hidden": (12,), "activation": activation, **LITTLE}
    np.testing.assert_allclose(answers(task, other, y, other, **how), answers(task, x, y, x, **how), rtol=0, atol=AGREE)


@given(tables(), st.lists(maps(), min_size=6, max_size=6), st.sampled_from(TASKS))
@settings(max_examples=6)
def test_nor_for_the_ensemble_of_all_views(table, units, task: str) -> None:
    x, rng = table
    y, other = target(task, x, rng), mapped(x, units)
    how = LITTLE | {"epochs": 2}
    np.testing.assert_allclose(answers(task, other, y, other, **how), answers(task, x, y, x, **how), rtol=0, atol=AGREE)
