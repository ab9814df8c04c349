"""Microseconds per training step of a 10-25-1 network, against other libraries and the speed limit of the machine.

    python -m benchmarks.fit_steps [--repeats 5]

Alternating runs, medians, one thread. A step is: the batch is gathered, forward, backward, AdamW (scikit-learn: Adam).
The floor is what the machine could not do without: the flops of the products at the rate of its own large matrix
product, and the bytes of inputs, activations, gradients, weights and moments, each moved once, at the rate of its own
large copy; the larger of the two. Below some hundred rows every library stands far above it: what is left is calls.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import InMemory, Rows, Split
from unstuck.tabular.fit.loss import Sigmoid
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.train import advance

ROWS, INPUTS, HIDDEN = 12_729, 10, 25
STEPS = {8: 1500, 256: 400, 4096: 40}


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, INPUTS), dtype=np.float32)
    y = (x @ rng.standard_normal(INPUTS) > 0).astype(np.float32)
    ways: dict[str, Callable[[int], float]] = {
        "unstuck": lambda b: ours(x, y, b),
        "torch, as written": lambda b: plain(x, y, b, fused=False),
        "torch, fused AdamW": lambda b: plain(x, y, b, fused=True),
        "scikit-learn": lambda b: sklearns(x, y, b),
    }
    repeats = _repeats()
    print(f"{'microseconds per step':24}" + "".join(f"{'batch ' + str(b):>22}" for b in STEPS))
    times = {b: {name: [] for name in ways} for b in STEPS}
    for batch in STEPS:
        for _ in range(repeats):
            for name, way in ways.items():
                times[batch][name].append(way(batch) * 1e6)
    middle = {b: {name: statistics.median(t) for name, t in own.items()} for b, own in times.items()}
    for name in ways:
        print(f"{name:24}" + "".join(f"{m[name]:12.1f} (x{m[name] / m['unstuck']:6.2f})" for m in middle.values()))
    rate, band = gemm(), copy()
    floors = [max(flops(b) / rate, moved(b) / band) * 1e6 for b in STEPS]
    print(
        f"{'floor':24}"
        + "".join(f"{f:12.1f} (x{f / middle[b]['unstuck']:6.2f})" for f, b in zip(floors, STEPS, strict=True))
    )
    print(f"one thread's large matrix product: {rate / 1e9:.0f} GFLOP/s; its large copy: {band / 1e9:.1f} GB/s")


def ours(x: np.ndarray, y: np.ndarray, batch: int) -> float:
    """Seconds per step of `unstuck.tabular.fit`, one lane."""
    net, loss = Dense((INPUTS, HIDDEN, 1), 1), Sigmoid(1)
    net.draw([0])
    adam, rate = AdamW(net.flat.shape, net.decayed(0.02)), np.array([[1e-3]], np.float32)
    split = Split(np.arange(len(x))[None], np.arange(8)[None])
    batches = InMemory(Rows(with_one(x), y[:, None]), split, batch, 0)
    done, start = 0, time.perf_counter()
    while done < STEPS[batch]:
        for part in batches.epoch(done):
            advance(net, adam, loss, part, rate)
            done += 1
    return (time.perf_counter() - start) / done


def plain(x: np.ndarray, y: np.ndarray, batch: int, fused: bool) -> float:
    """Seconds per step of a standard PyTorch loop."""
    net = torch.nn.Sequential(torch.nn.Linear(INPUTS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1))
    optimizer, loss = torch.optim.AdamW(net.parameters(), fused=fused), torch.nn.BCEWithLogitsLoss()
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    done, start = 0, time.perf_counter()
    while done < STEPS[batch]:
        order = torch.randperm(len(x))
        for at in range(0, len(x) - batch, batch):
            index = order[at : at + batch]
            optimizer.zero_grad()
            loss(net(inputs[index]), targets[index]).backward()
            optimizer.step()
            done += 1
    return (time.perf_counter() - start) / done


def sklearns(x: np.ndarray, y: np.ndarray, batch: int) -> float:
    """Seconds per step of an epoch of scikit-learn's network."""
    net = MLPClassifier((HIDDEN,), batch_size=batch, max_iter=max(1, STEPS[batch] * batch // len(x)), tol=0.0)
    start = time.perf_counter()
    net.fit(x, y.astype(int))
    return (time.perf_counter() - start) / (net.n_iter_ * -(-len(x) // batch))


def flops(batch: int) -> float:
    """Flops of the products of a step: forward, weight gradients, and hidden gradients."""
    return 2.0 * batch * (2 * INPUTS * HIDDEN + 3 * HIDDEN)


def moved(batch: int) -> float:
    """Bytes of a step, each array once: inputs, hidden units forward and back, outputs, weights and two moments."""
    return 4.0 * (batch * (INPUTS + 2 * HIDDEN + 2) + 5 * ((INPUTS + 1) * HIDDEN + HIDDEN + 1))


def gemm(n: int = 1024) -> float:
    """Flops per second of a large product."""
    a = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
    return 2.0 * n**3 / min(_seconds(lambda: a @ a) for _ in range(7))


def copy(n: int = 1 << 26) -> float:
    """Bytes per second read and written by a large copy."""
    a, b = np.ones(n, np.uint8), np.ones(n, np.uint8)
    return 2.0 * n / min(_seconds(lambda: np.copyto(b, a)) for _ in range(7))


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _repeats() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args().repeats


if __name__ == "__main__":
    main()
