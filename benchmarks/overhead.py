"""What recording costs: the same script plain and recorded, in turn, as whole processes and in its training loop.

    python -m benchmarks.overhead [--pairs N] [SCRIPT ...]

Prints the ratio of the medians and an A-against-A control, beside which it must be read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SCRIPTS = (HERE / "examples/rice.py", HERE / "examples/heart_rate.py")


def main() -> None:
    """Measure and print one line per script."""
    options = _options()
    print(f"{'script':28} {'plain s':>9} {'recorded s':>11} {'ratio':>7} {'control':>8}   (medians of {options.pairs})")
    for script in options.scripts or SCRIPTS:
        plain, recorded, control = _pairs(Path(script), options.pairs)
        ratio, same = recorded / plain, control / plain
        print(f"{Path(script).name:28} {plain:9.2f} {recorded:11.2f} {ratio:7.2f} {same:8.2f}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("scripts", nargs="*")
    return parser.parse_args()


def _pairs(script: Path, pairs: int) -> tuple[float, float, float]:
    times: dict[str, list[float]] = {"plain": [], "recorded": [], "control": []}
    with tempfile.TemporaryDirectory() as scratch:
        recorded = ["-m", "unstuck.record", "--out", f"{scratch}/tape", "--", str(script)]
        for _ in range(pairs):
            times["plain"].append(_seconds([str(script)], script.parent))
            times["recorded"].append(_seconds(recorded, script.parent))
            times["control"].append(_seconds([str(script)], script.parent))
    plain, taped, control = (statistics.median(times[k]) for k in ("plain", "recorded", "control"))
    return plain, taped, control


def _seconds(words: list[str], folder: Path) -> float:
    began = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=False)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
