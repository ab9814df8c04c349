"""Accuracy of the fits against other networks for tables, with default settings.

    python -m benchmarks.fit_quality [--peers PYTHON] [--rice rice.csv] [--only a,b] [--seeds 1] [--without tabm]
                                    [--untouched]

PYTHON is an interpreter with pytabkit[models] and skorch beside torch; without it scikit-learn's network is the only
peer. Every fit gets a process and a thread of its own; imports do not count. Classes are judged by log loss (accuracy
beside it), numbers by root mean squared error in spreads of the target. Ranks are by that figure, per table and seed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.tables import Table, tables, untouched

PROGRAM = str(Path(__file__).parent / "contestants" / "tabular.py")
LIMIT = 1800


class Score(NamedTuple):
    """The result of one fit; a lower `cost` is better."""

    cost: float
    right: float
    seconds: float


def main() -> None:
    """Print a line per table and seed, then mean ranks and time ratios."""
    options = _options()
    names = ["ours", "sklearn"] + (["skorch", "realmlp", "tabm"] if options.peers else [])
    names = [name for name in names if name not in options.without.split(",")]
    wanted = [w for w in options.only.split(",") if w]
    scores: list[dict[str, Score]] = []
    for table in untouched() if options.untouched else tables(options.rice):
        for seed in range(options.seeds if not wanted or table.name in wanted else 0):
            own = {name: fitted(name, table, seed, options.peers) for name in names}
            scores.append(own)
            print(f"{table.name:14} {len(table.x):6} rows  " + "   ".join(map(_shown, own, own.values())), flush=True)
    if scores:
        _summed(names, scores)


def fitted(name: str, table: Table, seed: int, peers: str | None) -> Score:
    """Run one fit in its own process; the cost is infinite if it fails."""
    train, test = table.split(seed)
    python = sys.executable if name in ("ours", "sklearn") else str(peers)
    with tempfile.TemporaryDirectory() as scratch:
        data, out = Path(scratch) / "table.npz", Path(scratch) / "out.npz"
        np.savez(data, x=table.x[train], y=table.y[train], test=table.x[test], classes=table.classes)
        surroundings = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        command = [python, PROGRAM, name, str(data), str(out), str(seed)]
        done = subprocess.run(command, env=surroundings, cwd=scratch, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode:
            print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return Score(float("inf"), 0.0, float("nan"))
        found = np.load(out)
        return judged(found["answers"], table.y[test], table.classes, float(found["seconds"]))


def judged(answers: np.ndarray, y: np.ndarray, classes: bool, seconds: float) -> Score:
    """Log loss and accuracy, or the error in standard deviations and R2."""
    if classes:
        p = np.clip(answers[np.arange(len(y)), y], 1e-7, 1)
        return Score(float(-np.log(p).mean()), float((answers.argmax(1) == y).mean()), seconds)
    error = float(np.sqrt(np.mean((answers - y) ** 2)) / y.std())
    return Score(error, 1 - error**2, seconds)


def _shown(name: str, score: Score) -> str:
    return f"{name} {score.cost:.4f} ({100 * score.right:.1f} %, {score.seconds:.1f} s)"


def _summed(names: list[str], scores: list[dict[str, Score]]) -> None:
    ranks = {name: [1 + sum(o.cost < s[name].cost for o in s.values()) for s in scores] for name in names}
    rights = {name: [1 + sum(o.right > s[name].right for o in s.values()) for s in scores] for name in names}
    print(
        f"\n{'':10} {'mean rank by cost':>18} {'by accuracy or R2':>18} {'seconds, median':>16} {'ours / theirs':>22}"
    )
    for name in names:
        seconds = np.array([s[name].seconds for s in scores])
        ratio = np.nanmedian(np.array([s["ours"].seconds for s in scores]) / seconds)
        print(
            f"{name:10} {np.mean(ranks[name]):18.2f} {np.mean(rights[name]):18.2f} {np.nanmedian(seconds):16.2f} "
            f"{ratio:22.3f}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers")
    parser.add_argument("--rice")
    parser.add_argument("--only", default="")
    parser.add_argument("--without", default="")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--untouched", action="store_true", help="only tables that were not used to choose defaults")
    return parser.parse_args()


if __name__ == "__main__":
    main()
