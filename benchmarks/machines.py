"""The time of training with rows spread over workers, for 1 and 2 of them, and what it is made of.

    python -m benchmarks.machines [--rows 200000] [--columns 20] [--batch 4096] [--engine ray|local]

Prints, for each number of workers, what a step costs, what an empty call of every worker costs, and how long reading a
slab takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.machines.local import Local
from unstuck.tabular.fit.machines.part import Setting
from unstuck.tabular.fit.machines.training import Spread
from unstuck.tabular.fit.network import Dense
from unstuck.tabular.fit.statistics import Chunk, statistics
from unstuck.tabular.fit.train import Shape

CHUNK, LANES, HIDDEN = 8192, 4, (128, 64)


def rows(count: int, columns: int) -> Iterator[Chunk]:
    """A table that every worker makes for itself."""
    for at in range(0, count, CHUNK):
        x = np.random.default_rng(at).normal(size=(min(CHUNK, count - at), columns))
        yield Chunk(Frame(x), (x[:, 0] * x[:, 1] > 0).astype(int))


def main() -> None:
    """Measure, and print one line of JSON for each number of workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    options = parser.parse_args()
    chunks = partial(rows, options.rows, options.columns)
    if options.engine == "ray":
        from unstuck.tabular.fit.machines.rayed import Actors, cluster

        active: Any = cluster("local:2")
        made: Callable[..., Any] = Actors
    else:
        active, made = nullcontext(), Local
    with active:
        for workers in (1, 2):
            print(json.dumps(measured(made(chunks, workers), chunks, options.batch) | {"workers": workers}), flush=True)


def measured(workers: Any, chunks: Callable[[], Iterator[Chunk]], batch: int) -> dict[str, float]:
    """Milliseconds of a step and of an empty call, and seconds of reading a slab."""
    seen = statistics(chunks, True)
    steps = max(1, seen.rows // batch)
    setting = Setting(seen.encoder, seen.task, Shape(("smooth",), HIDDEN), LANES, seen.rows, 1, steps, 0)
    workers.keep("set", setting)
    spread, begun = Spread(workers, setting), time.perf_counter()
    workers.keep("load", 0)
    read, loss = time.perf_counter() - begun, seen.task.loss
    net = Dense((seen.encoder.width(("smooth",)), *HIDDEN, loss.outputs), LANES, dtype=np.float64)
    net.draw(list(range(LANES)))
    adam, rate = AdamW(net.flat.shape, net.decayed(0.02), np.float64), np.array([[1e-3]])
    whole = []
    for step in range(min(steps, 100)):
        begun = time.perf_counter()
        spread.advance(net, adam, loss, step, rate)
        whole.append(time.perf_counter() - begun)
    empty = []
    for _ in range(30):
        begun = time.perf_counter()
        workers.each("process")
        empty.append(time.perf_counter() - begun)
    milli = lambda found: round(1000 * float(np.median(found)), 2)
    weights = net.flat.nbytes / 1e6
    return {
        "step_ms": milli(whole), "call_ms": milli(empty), "read_s": round(read, 2),
        "weights_MB": round(weights, 2),
    }  # fmt: skip


if __name__ == "__main__":
    main()
