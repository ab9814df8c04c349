"""Fits beside scikit-learn's, and CatBoost's and LightGBM's where they are installed, all with their defaults.

    python -m benchmarks.fit_ranks [--rice rice.csv] [--untouched] [--only a,b]

One split of four fifths per table, classes judged by log loss and numbers by squared error on the rest; processor time,
one thread. `--untouched` takes the tables that no default of the trainer was chosen on.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.tables import Table, tables, untouched
from unstuck import Classifier, Regressor

SILENT = {"verbose": 0, "allow_writing_files": False}


class Fit(NamedTuple):
    """One learner on one table: cost on the rows kept back, seconds to fit and to predict them."""

    learner: str
    cost: float
    fit: float
    predict: float


def learners() -> Iterator[tuple[str, Callable[[bool], Any]]]:
    """Name, and what makes an estimator for classes or for numbers."""
    yield "unstuck", lambda c: (Classifier if c else Regressor)(random_state=0)
    yield "boosting", lambda c: (HistGradientBoostingClassifier if c else HistGradientBoostingRegressor)(random_state=0)
    yield "MLP", lambda c: _scaled((MLPClassifier if c else MLPRegressor)(max_iter=500, random_state=0))
    yield "linear", lambda c: _scaled(LogisticRegression(max_iter=2000) if c else RidgeCV(np.geomspace(0.01, 100, 9)))
    if importlib.util.find_spec("catboost"):
        yield "CatBoost", partial(_named, "catboost", "CatBoost", random_seed=0, thread_count=1, **SILENT)
    if importlib.util.find_spec("lightgbm"):
        yield "LightGBM", partial(_named, "lightgbm", "LGBM", random_state=0, n_jobs=1, verbose=-1)


def _named(module: str, stem: str, classes: bool, **options: object) -> Any:
    """An estimator of a package that may be missing."""
    return getattr(importlib.import_module(module), stem + ("Classifier" if classes else "Regressor"))(**options)


def _scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


def measured(table: Table) -> Iterator[Fit]:
    """Every learner on one table."""
    train, rest = table.split(0)
    for name, make in learners():
        begun = time.process_time()
        model = make(table.classes).fit(table.x[train], table.y[train])
        fitted = time.process_time()
        answers = model.predict_proba(table.x[rest]) if table.classes else model.predict(table.x[rest])
        yield Fit(name, _cost(table, rest, answers), fitted - begun, time.process_time() - fitted)


def _cost(table: Table, rest: np.ndarray, answers: np.ndarray) -> float:
    if table.classes:
        return float(log_loss(table.y[rest], np.clip(answers, 1e-7, 1), labels=np.unique(table.y)))
    return float(np.mean((np.ravel(answers) - table.y[rest]) ** 2))


def ranks(costs: list[float]) -> np.ndarray:
    """1 for the lowest cost; equal ones share the mean of their places."""
    told = np.array(costs)
    return np.array([(told < c).sum() + ((told == c).sum() + 1) / 2 for c in told])


def summary(found: list[list[Fit]]) -> Iterator[str]:
    """The table, as Markdown; the learners are the same for every table."""
    placed = np.array([ranks([f.cost for f in fits]) for fits in found])
    excess = np.array([[f.cost / min(g.cost for g in fits) - 1 for f in fits] for fits in found])
    yield f"| {len(found)} tables | mean rank | median excess over the best | fit, median s | predict, median s |"
    yield "|---|---|---|---|---|"
    for n, first in enumerate(found[0]):
        fit, predict = (np.median([getattr(fits[n], kind) for fits in found]) for kind in ("fit", "predict"))
        row = f"{placed[:, n].mean():.2f} | {np.median(excess[:, n]):.1%} | {fit:.2f} | {predict:.3f}"
        yield f"| {first.learner} | {row} |"


def main() -> None:
    """Print a line per fit and the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rice", help="path of the rice table, separated by semicolons")
    parser.add_argument("--untouched", action="store_true")
    parser.add_argument("--only", type=lambda s: s.split(","))
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    chosen = untouched() if asked.untouched else tables(asked.rice)
    found = []
    for table in (t for t in chosen if not asked.only or t.name in asked.only):
        found.append(list(measured(table)))
        for fit in found[-1]:
            print(f"{table.name} {fit.learner}: {fit.cost:.5g}, {fit.fit:.2f} s, {fit.predict:.3f} s", flush=True)
    print("\n".join(summary(found)))


if __name__ == "__main__":
    main()
