"""What recording costs: whole scripts, plain and recorded in turn; and the light mode, step beside step.

    python -m benchmarks.overhead [--pairs N] [SCRIPT ...]
    python -m benchmarks.overhead --light [--pairs N]

The first prints the ratio of the medians and an A-against-A control, beside which it must be read. The second trains
networks in one process until the tape is full, and then in short blocks with the recorder and without, in turn: the
ratio of the median steps, the steps that are watched (one in so many) apart, and the same between blocks without it.
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
BLOCK = 64
"""Steps in a block of the light mode: the machine changes its pace over longer times."""
ROUNDS = 20
"""Rounds of blocks to a pair."""
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
        recorded = ["-m", "unstuck.recording", "--out", f"{scratch}/tape", "--", str(script)]
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
    print(f"{'network, Adam':28} {'step us':>9} {'light':>9} {'watched':>9} {'control':>9}")
    for name, sizes in NETS.items():
        step, light, watched, control = _blocks(_trained(*sizes), pairs * ROUNDS)
        print(f"{name:28} {step / 1e3:9.0f} {light - 1:+9.2%} {watched:+9.2%} {control - 1:+9.2%}", flush=True)


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


def _blocks(step: Callable[[], None], rounds: int) -> tuple[float, float, float, float]:
    """Nanoseconds per step without the recorder; the light mode over that; its watched steps' share; the control."""
    from unstuck.recording.budget import limits
    from unstuck.recording.full_steps import PASSES
    from unstuck.recording.recorder import Recorder
    from unstuck.recording.sampling import EVERY

    recorder = Recorder(HERE, limits(10**12, 1e12))
    recorder.attach()
    for _ in range(PASSES + BLOCK):
        step()
    times: dict[str, list[int]] = {"with": [], "watched": [], "without": [], "again": []}
    for _ in range(rounds):
        for _ in range(BLOCK):
            watched, taken = recorder.sampled is not None and recorder.sampled.sampling.watching, _timed(step)
            times["watched" if watched else "with"].append(taken)
        recorder.detach()
        times["without"] += [_timed(step) for _ in range(BLOCK)]
        times["again"] += [_timed(step) for _ in range(BLOCK)]
        recorder.attach()
    recorder.detach()
    light, plain, again = (statistics.median(times[k]) for k in ("with", "without", "again"))
    more = statistics.median(times["watched"] or [plain]) - plain
    return plain, light / plain, more / plain / EVERY, again / plain


def _timed(step: Callable[[], None]) -> int:
    began = time.perf_counter_ns()
    step()
    return time.perf_counter_ns() - began


if __name__ == "__main__":
    main()
