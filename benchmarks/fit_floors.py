"""Fits beside the simplest models, on tables that a network easily gets wrong: equal rows, many rows, tails, words.

    python -m benchmarks.fit_floors [--rice rice.csv] [--only a,b] [--write]

Every table has rows of its own to test on. Classes are judged by log loss, numbers by R2. The other columns are a
constant, a linear model (ridge or logistic regression on standardised columns and one input per word) and
scikit-learn's gradient boosting, all with their defaults. `--write` writes `benchmarks/fit_floors.md`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from unstuck import Classifier, Regressor

Array = np.ndarray
NAMES = ("ours", "constant", "linear", "boosting")
# The passengers and crew of the Titanic (Dawson 1995): class, adult, female; how many died and how many lived.
TITANIC = (
    (1, 0, 0, 0, 5), (1, 0, 1, 0, 1), (2, 0, 0, 0, 11), (2, 0, 1, 0, 13), (3, 0, 0, 35, 13), (3, 0, 1, 17, 14),
    (1, 1, 0, 118, 57), (1, 1, 1, 4, 140), (2, 1, 0, 154, 14), (2, 1, 1, 13, 80), (3, 1, 0, 387, 75), (3, 1, 1, 89, 76),
    (0, 1, 0, 670, 192), (0, 1, 1, 3, 20),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """x (n, d), objects where columns hold words; y (n,); the first `train` rows are trained on."""

    name: str
    x: Array
    y: Array
    classes: bool
    train: int

    @property
    def words(self) -> list[int]:
        """The columns that hold words."""
        return [j for j in range(self.x.shape[1]) if isinstance(self.x[0, j], str)]


def cases(rice: str | None) -> Iterator[Case]:
    """All tables, the same every time."""
    yield from _equal()
    yield from (_eight(rows) for rows in (1000, 4900, 5100, 8000, 30_000))
    yield from _tails()
    yield from (_words(100, 20), _words(1000, 20), _words(100, 20, beside=True), _noise(), _jumps())
    yield from _bundled(rice)


def _equal() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    people = [(*row[:3], lived) for row in TITANIC for lived in (0, 1) for _ in range(row[3 + lived])]
    table = rng.permutation(np.array(people, float))
    yield Case("titanic", table[:, :3], table[:, 3].astype(int), True, 1600)
    x = rng.integers(0, 2, (6000, 2)).astype(float)
    y = rng.random(6000) < 1 / (1 + np.exp(-(3 * x[:, 0] + x[:, 1] - 2)))
    yield Case("two binary columns", x, y.astype(int), True, 2000)
    x = rng.integers(0, 3, (6000, 4)).astype(float)
    yield Case("small grid, numbers", x, x @ [1, 2, -1, 0.5] + x[:, 0] * x[:, 1] + rng.normal(size=6000), False, 2000)
    x = np.repeat(rng.normal(size=(1500, 5)), 4, axis=0)
    y = (x[:, 0] * x[:, 1] + 0.5 * np.repeat(rng.normal(size=1500), 4) > 0).astype(int)
    yield Case("every row four times", x, y, True, 4000)


def _eight(rows: int) -> Case:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (rows + 4000, 8))
    y = 4 * x[:, 0] + 2 * x[:, 1] + np.sin(4 * x[:, 2]) + 2 * x[:, 3] * x[:, 4] + np.abs(x[:, 5]) + (x[:, 6] > 0.2)
    return Case(f"eight columns, {rows:,} rows", x, y + 0.1 * rng.normal(size=len(x)), False, rows)


def _tails() -> Iterator[Case]:
    rng = np.random.default_rng(2)
    x = rng.standard_t(2, (6000, 1))
    yield Case("line, tails of t(2)", x, x[:, 0] + 0.3 * rng.normal(size=6000), False, 2000)
    x = rng.standard_t(2, (6000, 3))
    y = x[:, 0] + 2 * np.sin(2 * x[:, 1]) + 0.3 * rng.normal(size=6000)
    yield Case("line and wave, t(2)", x, y, False, 2000)
    x = np.exp(rng.normal(0, 1.5, (6000, 3)))
    yield Case("logarithms", x, np.log(x[:, 0] * x[:, 1] / x[:, 2]) + 0.3 * rng.normal(size=6000), False, 2000)
    x = rng.standard_t(2, (6000, 2))
    yield Case("bounded, t(2)", x, np.tanh(x[:, 0]) + 0.3 * rng.normal(size=6000), False, 2000)


def _words(words: int, each: int, beside: bool = False) -> Case:
    rng = np.random.default_rng(3)
    n = words * each + 4000
    at = np.concatenate([rng.permutation(np.repeat(np.arange(words), each)), rng.integers(0, words, 4000)])
    other = rng.normal(size=n)
    y = rng.normal(size=words)[at] + 0.33 * rng.normal(size=n) + beside * np.sin(2 * other)
    x = np.array([f"w{i}" for i in at], object)[:, None]
    x = np.concatenate([x, other[:, None].astype(object)], axis=1) if beside else x
    return Case(f"{words:,} words" + (" and a wave" if beside else ""), x, y, False, words * each)


def _noise() -> Case:
    rng = np.random.default_rng(4)
    return Case("noise", rng.normal(size=(5000, 6)), rng.integers(0, 2, 5000), True, 1000)


def _jumps() -> Case:
    rng = np.random.default_rng(5)
    x = rng.uniform(size=(7000, 10))
    y = 2.0 * (x[:, 0] > 0.37) + 3 * (x[:, 1] > 0.63) * (x[:, 2] > 0.41) - 2 * (x[:, 3] < 0.22)
    return Case("jumps", x, y + 0.3 * rng.normal(size=7000), False, 3000)


def _bundled(rice: str | None) -> Iterator[Case]:
    loaded = [(name, getattr(datasets, f"load_{name}")()) for name in ("diabetes", "breast_cancer", "wine")]
    for name, raw in loaded:
        yield _shuffled(name, raw.data, raw.target, name != "diabetes")
    if rice and Path(rice).exists():
        table = np.genfromtxt(rice, delimiter=";", skip_header=1)
        yield _shuffled("rice", table[:, 1:-1], table[:, -1].astype(int), True)


def _shuffled(name: str, x: Array, y: Array, classes: bool) -> Case:
    order = np.random.default_rng(0).permutation(len(x))
    return Case(name, x[order], y[order], classes, len(x) * 2 // 3)


def contestants(case: Case) -> dict[str, Callable[[], Any]]:
    """What is fitted, by name."""
    if case.classes:
        kinds = Classifier, DummyClassifier, lambda: LogisticRegression(max_iter=2000), HistGradientBoostingClassifier
    else:
        kinds = Regressor, DummyRegressor, lambda: RidgeCV(np.geomspace(0.01, 100, 9)), HistGradientBoostingRegressor
    ours, constant, linear, boosting = kinds
    one_hot = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), case.words), remainder=StandardScaler(), sparse_threshold=0
    )
    codes = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), case.words), remainder="passthrough"
    )
    return {
        "ours": lambda: ours(random_state=0),
        "constant": constant,
        "linear": lambda: make_pipeline(one_hot, linear()),
        "boosting": lambda: make_pipeline(codes, boosting(random_state=0)),
    }


def measured(case: Case, name: str) -> tuple[float, float, float]:
    """The score of one contestant, the seconds of its fit, and of its prediction."""
    x, y, new, truth = case.x[: case.train], case.y[: case.train], case.x[case.train :], case.y[case.train :]
    start = time.perf_counter()
    model = contestants(case)[name]().fit(x, y)
    fitted = time.perf_counter()
    told = model.predict_proba(new) if case.classes else model.predict(new)
    score = log_loss(truth, told) if case.classes else r2_score(truth, told)
    return float(score), fitted - start, time.perf_counter() - fitted


def main() -> None:
    """Measure every table, and write the page if asked."""
    options = _options()
    wanted, lines = [one for one in options.only.split(",") if one], []
    warnings.filterwarnings("ignore", category=UserWarning)
    for case in cases(options.rice):
        if wanted and not any(one in case.name for one in wanted):
            continue
        found = [measured(case, name) for name in NAMES]
        scores = " | ".join(f"{score:.3f}" for score, _, _ in found)
        lines.append(f"| {case.name} | {case.train:,} | {'log loss' if case.classes else 'R2'} | {scores} |")
        print(lines[-1], f"fit {found[0][1]:.1f} s, predict {found[0][2] / found[3][2]:.1f} x boosting", flush=True)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(PAGE.format(rows="\n".join(lines)), encoding="utf-8")


PAGE = """# Fits beside the simplest models

`python -m benchmarks.fit_floors --rice rice.csv --write`

Scores on rows that nothing was trained on: log loss for classes (lower is better), R2 for numbers (higher is better).
The defaults of the fit were changed with these tables in view, so they are a check and not a test stated beforehand.

| table | training rows | score | `unstuck` | constant | linear | boosting |
|-|-|-|-|-|-|-|
{rows}
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rice")
    parser.add_argument("--only", default="", help="parts of names")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
