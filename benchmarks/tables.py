"""The tables that fits are compared on: those that come with scikit-learn, and some that a formula makes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets

from benchmarks.formulas import formulas


class Table(NamedTuple):
    """x (n, d) float64, y (n,): class numbers, or numbers where `classes` is false."""

    name: str
    x: np.ndarray
    y: np.ndarray
    classes: bool

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers to train on (four fifths) and to test on."""
        order = np.random.default_rng(seed).permutation(len(self.x))
        return order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]


def untouched() -> list[Table]:
    """Tables that no default was chosen on."""
    return [Table(*made) for made in formulas()]


def tables(rice: str | None = None) -> list[Table]:
    """Those that the defaults were looked at on; with the path of the rice table, that one too."""
    out = [_bundled(name) for name in ("iris", "wine", "breast_cancer", "digits")]
    raw = datasets.load_diabetes(scaled=False)
    out += [Table("diabetes", raw.data, raw.target, False), *_friedman(), *_made()]
    if rice and Path(rice).exists():
        table = np.genfromtxt(rice, delimiter=";", skip_header=1)
        out.append(Table("rice", table[:, 1:-1], table[:, -1].astype(int), True))
    return out


def _bundled(name: str) -> Table:
    raw = getattr(datasets, f"load_{name}")()
    return Table(name, raw.data, raw.target, True)


def _friedman() -> list[Table]:
    made = [
        datasets.make_friedman1(2000, 10, noise=1.0, random_state=0),
        datasets.make_friedman2(2000, noise=50.0, random_state=0),
        datasets.make_friedman3(2000, noise=0.1, random_state=0),
    ]
    return [Table(f"friedman{i}", x, y, False) for i, (x, y) in enumerate(made, 1)]


def _made() -> list[Table]:
    rng = np.random.default_rng(0)
    x, y = datasets.make_moons(2000, noise=0.25, random_state=0)
    out = [Table("moons", x, y, True)]
    x, y = datasets.make_classification(
        3000, 20, n_informative=8, n_redundant=4, n_classes=4, n_clusters_per_class=2, random_state=1
    )
    out.append(Table("clusters", x * np.exp(rng.normal(0, 3, 20)), y, True))
    x = np.exp(rng.normal(0, 1.5, (3000, 6)))
    y = np.log1p(x[:, 0] * x[:, 1] / x[:, 2]) + np.sin(2 * np.log(x[:, 3])) + 0.2 * rng.normal(size=3000)
    out.append(Table("lognormal", x, y, False))
    x = rng.uniform(-3, 3, (4000, 2))
    y = ((np.floor(x[:, 0]) + np.floor(x[:, 1])) % 2).astype(int)
    out.append(Table("checker", np.c_[x, rng.normal(size=(4000, 3))], y, True))
    x = rng.uniform(0, 1, (3000, 8))
    y = (
        (x[:, 0] > 0.5) * 2.0
        + (x[:, 1] > 0.3) * (x[:, 2] > 0.6) * 3
        - (x[:, 3] < 0.2) * 2
        + 0.3 * rng.normal(size=3000)
    )
    out.append(Table("steps", x, y, False))
    return out
