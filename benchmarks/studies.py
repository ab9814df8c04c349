"""Cost of the studies of small networks as lanes, against the same networks one by one in plain PyTorch.

    python -m benchmarks.studies [--epochs N] [--steps N] [--rice FILE]

Both sides train every variant of the study: the lanes all seeds for some epochs; plain PyTorch (nn.Module, backward,
torch.optim) one seed for some steps, every step the same work as the next. Processor time on one thread, the two in
turns, medians; the ratio is per step and network.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

from unstuck.tabular.studies.heart_rate.courses import train_all as train_hearts
from unstuck.tabular.studies.heart_rate.price import plain_step as plain_heart
from unstuck.tabular.studies.heart_rate.variants import STORY
from unstuck.tabular.studies.rice.price import plain_step as plain_grain
from unstuck.tabular.studies.rice.table import read
from unstuck.tabular.studies.rice.training import train_all as train_grains
from unstuck.tabular.studies.rice.training import variants

SAMPLE = Path(__file__).resolve().parents[1] / "examples/rice.csv"


def main() -> None:
    """Print both studies' ratios."""
    options = _options()
    torch.set_num_threads(1)
    rice = read(options.rice)
    kinds = variants(rice)
    print(f"{'study':12} {'networks':>9} {'us per lane-step':>17} {'us per plain step':>18} {'times cheaper':>14}")

    def hearts() -> tuple[float, int]:
        trained = train_hearts(STORY, 5, options.epochs, lambda _: None)
        return trained.seconds / trained.lane_steps, 5 * len(STORY)

    def grains() -> tuple[float, int]:
        trained = train_grains(rice, kinds, 20, 1, lambda _: None)
        return trained.seconds / trained.lane_steps, 20 * len(kinds)

    _compare("heart-rate", hearts, [lambda v=v: plain_heart(v, options.steps) for v in STORY], options.repeats)
    _compare("rice", grains, [lambda v=v: plain_grain(rice, v, options.steps) for v in kinds], options.repeats)


def _compare(name: str, lanes: Callable[[], tuple[float, int]], plain: list[Callable[[], float]], repeats: int) -> None:
    """Measure both in turns, so that a slow machine affects both."""
    both = [(lanes(), statistics.fmean(step() for step in plain)) for _ in range(repeats)]
    networks = both[0][0][1]
    lane, alone = (statistics.median(values) for values in zip(*((a[0], b) for a, b in both), strict=True))
    print(f"{name:12} {networks:9} {1e6 * lane:17.1f} {1e6 * alone:18.1f} {alone / lane:14.1f}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1000, help="epochs of the heart-rate lanes")
    parser.add_argument("--steps", type=int, default=100, help="steps of each plain network")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rice", type=Path, default=SAMPLE, help="the rice table (default: the sample in examples/)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
