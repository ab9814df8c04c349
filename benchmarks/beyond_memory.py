"""A table of several gigabytes, sorted by class, fitted within bounded memory.

    python -m benchmarks.beyond_memory --folder DIR [--gigabytes 5] [--format csv|parquet] [--keep]

Writes the table into DIR (which needs the room), runs `unstuck fit` on it as a process of its own, and prints the
process's largest resident memory, its seconds, and the accuracy on fresh rows beside the best that the formula allows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

COLUMNS, CHUNK = 20, 200_000
NOISE = 0.05
"""The share of flipped labels: the best possible accuracy is 95 %."""


def main() -> None:
    """Generate the table, fit it, predict new rows."""
    options = _options()
    folder = Path(options.folder)
    table, model, fresh = (folder / name for name in (f"large.{options.format}", "large.model", "fresh.csv"))
    rows = made(table, options.gigabytes * 1e9)
    print(f"{rows} rows, {table.stat().st_size / 1e9:.2f} GB, sorted by class", flush=True)
    command = [
        sys.executable,
        "-m",
        "unstuck",
        "fit",
        str(table),
        "--target",
        "label",
        "--model",
        str(model),
        "--quiet",
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(json.dumps({"resident_GB": round(peak, 2), "seconds": round(seconds), "accuracy": accuracy(model, fresh)}))
    for path in (table, model, fresh):
        if not options.keep:
            path.unlink(missing_ok=True)


def made(path: Path, size: float) -> int:
    """Write chunks, all of class 0 before all of class 1, until the file has the requested size."""
    rows = 0
    with _writer(path) as writer:
        for label in (0, 1):
            for chunk in _chunks(label):
                writer.write(pa.table(chunk))
                rows += CHUNK
                if path.stat().st_size > size * (label + 1) / 2:
                    break
    return rows


def _writer(path: Path):
    first = pa.table(next(_chunks(0)))
    kind = pyarrow.csv.CSVWriter if path.suffix == ".csv" else pyarrow.parquet.ParquetWriter
    return kind(str(path), first.schema)


def _chunks(label: int) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(label + 1)
    while True:
        x = rng.normal(size=(3 * CHUNK, COLUMNS))
        own = np.flatnonzero(labelled(x, rng) == label)[:CHUNK]
        yield columns(x[own]) | {"label": np.full(len(own), label)}


def labelled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels from the signs of two products, some of them flipped."""
    return ((x[:, 0] * x[:, 1] + x[:, 2] > 0) ^ (rng.uniform(size=len(x)) < NOISE)).astype(np.int64)


def columns(x: np.ndarray) -> dict[str, np.ndarray]:
    """Columns in units from 1e-6 to 1e6, far from zero."""
    units = np.geomspace(1e-6, 1e6, COLUMNS)
    return {f"c{j}": (x[:, j] + 40) * units[j] for j in range(COLUMNS)}


def accuracy(model: Path, fresh: Path) -> float:
    """Accuracy of the model on new rows in random order."""
    rng = np.random.default_rng(99)
    x = rng.normal(size=(20_000, COLUMNS))
    y = labelled(x, rng)
    pyarrow.csv.write_csv(pa.table(columns(x)), str(fresh))
    out = fresh.with_suffix(".answers.csv")
    subprocess.run([sys.executable, "-m", "unstuck", "predict", str(model), str(fresh), "-o", str(out)], check=True)
    said = pyarrow.csv.read_csv(str(out)).column(0).to_numpy()
    out.unlink()
    return float((said == y).mean())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
