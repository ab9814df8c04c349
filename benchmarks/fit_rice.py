"""The rice table fitted by several libraries, in alternating runs: seconds of the fit, of the whole process, accuracy.

    python -m benchmarks.fit_rice --data rice.csv [--peers PYTHON] [--seeds 5]

rice.csv is the whole table, `;` between the columns (id, ten measurements, Class). The ratios are ours over theirs.
PYTHON is an interpreter that has skorch and lightning beside torch; without it only scikit-learn is compared.
`unstuck fit` is the command as a person calls it, from start to finish; every process gets one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

CONTESTANTS = Path(__file__).parent / "contestants"


class Run(NamedTuple):
    """One fit."""

    fit: float
    whole: float
    accuracy: float


def main() -> None:
    """Print a row per library."""
    options = _options()
    runs: dict[str, list[Run]] = {}
    for seed in range(options.seeds):
        for name, command in _commands(options).items():
            runs.setdefault(name, []).append(_run(name, command, options.data, seed))
    ours = runs["ours"]
    print(f"{'':14} {'fit':>8} {'ratio':>7} {'process':>8} {'ratio':>7} {'accuracy on held-out 15 %':>28}")
    for name, own in runs.items():
        fit, whole = _median(own, "fit"), _median(own, "whole")
        accuracy = statistics.fmean(run.accuracy for run in own)
        shown = (
            f"{name:14} {fit:7.2f}s {_median(ours, 'fit') / fit:7.3f} {whole:7.2f}s "
            f"{_median(ours, 'whole') / whole:7.3f} {100 * accuracy:26.2f} %"
        )
        print(shown.replace("nan", "  -"))


def _commands(options: argparse.Namespace) -> dict[str, list[str]]:
    own, peers = sys.executable, options.peers
    out = {"ours": [own, "ours"], "unstuck fit": [own, ""], "scikit-learn": [own, "sklearn_mlp"]}
    return out | ({"skorch": [peers, "skorch_mlp"], "Lightning": [peers, "lightning_mlp"]} if peers else {})


def _run(name: str, command: list[str], data: str, seed: int) -> Run:
    python, program = command
    surroundings = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    words = [str(CONTESTANTS / f"{program}.py"), data, str(seed)]
    if name == "unstuck fit":
        words = ["-m", "unstuck", "fit", data, "--target", "Class", "--drop", "id", "--seed", str(seed), "--quiet"]
    start = time.perf_counter()
    done = subprocess.run([python, *words], env=surroundings, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - start
    if name == "unstuck fit":
        return Run(float("nan"), whole, float("nan"))
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return Run(said["seconds"], whole, said["accuracy"])


def _median(runs: list[Run], what: str) -> float:
    return statistics.median(getattr(run, what) for run in runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--peers")
    parser.add_argument("--seeds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
