"""What recording costs: whole scripts, plain and recorded in turn; and the light mode, step beside step.

    python -m benchmarks.overhead [--pairs N] [SCRIPT ...]
    python -m benchmarks.overhead --light [--pairs N]

The first prints the ratio of the medians and an A-against-A control, beside which it must be read. The second trains
networks in one process until the tape is full and then takes blocks of steps with the recorder and without, in turn:
the median of the ratios of neighbouring blocks, in the thread's own time, and the same between blocks without it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SCRIPTS = (HERE / "examples/rice.py", HERE / "examples/heart_rate.py")
BLOCK = 512
"""Steps in a block: a whole number of rounds of the sampling, so that every block has its share of watched steps."""
NETS = {"10-64-1, batch 32": (10, 64, 1, 32), "64-256-10, batch 128": (64, 256, 10, 128)}


def main() -> None:
    """Measure and print one line per script, or per network."""
    options = _options()
    if options.light:
        _light(options.pairs)
        return
    print(f"{'script':28} {'plain s':>9} {'recorded s':>11} {'ratio':>7} {'control':>8}   (medians of {options.pairs})")
    for script in options.scripts or SCRIPTS:
        plain, recorded, control = _pairs(Path(script), options.pairs)
        ratio, same = recorded / plain, control / plain
        print(f"{Path(script).name:28} {plain:9.2f} {recorded:11.2f} {ratio:7.2f} {same:8.2f}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--light", action="store_true")
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


def _light(pairs: int) -> None:
    print(f"{'network, Adam':28} {'step us':>9} {'light':>9} {'control':>9}   (medians of {pairs} pairs of blocks)")
    for name, sizes in NETS.items():
        step, light, control = _blocks(_trained(*sizes), pairs)
        print(f"{name:28} {1e6 * step:9.0f} {light - 1:+9.2%} {control - 1:+9.2%}", flush=True)


def _trained(inputs: int, hidden: int, outputs: int, batch: int) -> Callable[[], None]:
    """One training step of a small network."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(4096, inputs)
    y = x @ torch.randn(inputs, outputs)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        rows = torch.randint(0, len(x), (batch,))
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _blocks(step: Callable[[], None], pairs: int) -> tuple[float, float, float]:
    """Seconds per step without the recorder; its light mode over that; and the control."""
    from unstuck.record.recorder import PASSES, Recorder

    recorder = Recorder(HERE, steps=10**12, seconds=1e12)
    recorder.attach()
    for _ in range(PASSES + 20 * BLOCK):  # until the tape is full, and the sampling has found its pace
        step()
    ratios, controls, plain = [], [], []
    for _ in range(pairs):
        with_it = _timed(step)
        recorder.detach()
        without, again = _timed(step), _timed(step)
        recorder.attach()
        plain.append(without)
        ratios.append(with_it / without)
        controls.append(again / without)
    recorder.detach()
    return statistics.median(plain) / BLOCK, statistics.median(ratios), statistics.median(controls)


def _timed(step: Callable[[], None]) -> float:
    began = time.thread_time()
    for _ in range(BLOCK):
        step()
    return time.thread_time() - began


if __name__ == "__main__":
    main()
