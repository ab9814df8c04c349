"""Writes rice.csv, a generated table of rice grains: `python examples/make_rice.py`.

A grain is an ellipse with rough edges, as a camera over a conveyor belt sees it; everything else in its row follows
from its length and width in pixels. The first variety is long and slender, the second short and plump.
"""

import csv
from pathlib import Path

import numpy as np

COLUMNS = (
    "area",
    "length",
    "width",
    "eccentricity",
    "convex_area",
    "diameter",
    "extent",
    "perimeter",
    "roundness",
    "aspect",
    "variety",
)
ROWS = 1600
SLENDER, PLUMP = (205.0, 83.0), (158.0, 98.0)


def grains(rows: int, size: tuple[float, float], variety: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of one variety, in the order of COLUMNS."""
    growth = rng.normal(1, 0.07, rows)
    length, width = (side * growth * rng.normal(1, 0.045, rows) for side in size)
    area = np.pi / 4 * length * width * rng.normal(0.98, 0.01, rows)
    # Ramanujan's first approximation of an ellipse's perimeter.
    a, b = length / 2, width / 2
    perimeter = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b))) * rng.normal(1.06, 0.015, rows)
    tilt = rng.uniform(0, np.pi, rows)
    box = 4 * np.hypot(a * np.cos(tilt), b * np.sin(tilt)) * np.hypot(a * np.sin(tilt), b * np.cos(tilt))
    return np.column_stack(
        (
            area,
            length,
            width,
            np.sqrt(1 - (width / length) ** 2),
            area * rng.normal(1.025, 0.006, rows),
            np.sqrt(4 * area / np.pi),
            area / box,
            perimeter,
            4 * np.pi * area / perimeter**2,
            length / width,
            np.full(rows, variety),
        )
    )


def main() -> None:
    """Write the table beside this file."""
    rng = np.random.default_rng(1959)
    table = np.concatenate((grains(int(ROWS * 0.45), SLENDER, 0, rng), grains(ROWS - int(ROWS * 0.45), PLUMP, 1, rng)))
    with Path(__file__).with_name("rice.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([f"{value:.6g}" for value in row] for row in rng.permutation(table))


if __name__ == "__main__":
    main()
