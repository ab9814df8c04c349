"""What lanes cost: many replays at once against one by one, on the recorded rice program.

    python -m benchmarks.lanes [--steps N] [--repeats N]

Plain training is the person's own step (nn.Module, backward, torch.optim); each replay is as many such trainings as it
has lanes. Alternating runs, medians.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from unstuck.replay.bench import as_written
from unstuck.replay.lanes import starts
from unstuck.replay.run import course_of
from unstuck.replay.stacked import Lanes
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import yardstick
from unstuck.tape.files import load
from unstuck.tape.model import Tape

SCRIPT = Path(__file__).resolve().parents[1] / "examples/rice.py"
LANES = (1, 8, 32, 128)


def main() -> None:
    """Record, then print microseconds per step for every number of lanes."""
    options = _options()
    torch.set_num_threads(1)
    tape = _tape()
    plain = statistics.median(_plain(tape, options.steps) for _ in range(options.repeats))
    print(f"one plain step (module, backward, optimizer): {plain * 1e6:.0f} us")
    print(f"{'lanes':>6} {'us per step':>12} {'us per lane':>12} {'times cheaper than one by one':>30}")
    for lanes in LANES:
        step = statistics.median(_replayed(tape, lanes, options.steps) for _ in range(options.repeats))
        print(f"{lanes:6} {step * 1e6:12.0f} {step / lanes * 1e6:12.1f} {lanes * plain / step:30.1f}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def _tape() -> Tape:
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        options = ["--out", f"{scratch}/tape", "--steps", "400"]
        command = [sys.executable, "-m", "unstuck.recording", *options, "--", SCRIPT.name]
        subprocess.run(command, cwd=SCRIPT.parent, capture_output=True, check=True)
        return load(Path(scratch) / "tape")


def _plain(tape: Tape, steps: int) -> float:
    model = torch.nn.Sequential(torch.nn.Linear(10, 25), torch.nn.Linear(25, 1), torch.nn.Sigmoid())
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.BCELoss()
    number = main_program(tape)
    batches = [tuple(tape.tensors[k] for k in p.outside) for p in tape.passes if p.program == number][: steps + 20]
    began = 0.0
    for step, (x, y) in enumerate(batches):
        if step == 20:
            began = time.perf_counter()
        loss = loss_of(model(x).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - began) / (len(batches) - 20)


def _replayed(tape: Tape, lanes: int, steps: int) -> float:
    trial, number = as_written(tape), main_program(tape)
    task = Task.read(tape)
    course = course_of(tape, tape.passes[: steps + 20], number, yardstick(tape, number, task), task)
    bank = Lanes(trial, starts(trial.start, set(trial.holders), lanes), torch.ones(lanes))
    began = 0.0
    for step, p in enumerate(course.passes):
        if step == 20:
            began = time.perf_counter()
        _, _, gradients = bank.step(p.program, tuple(tape.tensors[k] for k in p.outside), None)
        for name, gradient in gradients.items():
            bank.trained[name].grad = gradient
        for update in course.updates.get(step + 1, ()):
            bank.update(update)
    return (time.perf_counter() - began) / (len(course.passes) - 20)


if __name__ == "__main__":
    main()
