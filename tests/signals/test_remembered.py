"""What is read once of a tape, and the sums over its targets."""

from __future__ import annotations

import gc

import msgspec
import pytest
import torch

from tests.recorded import Record
from unstuck.signals import remembered as module
from unstuck.signals.learning import Learning
from unstuck.signals.remembered import remembered
from unstuck.signals.task import Task
from unstuck.signals.yardstick import of_targets, yardstick
from unstuck.tape.task import Task as Plain

SCRIPT = """
import torch

torch.manual_seed(0)
x = torch.randn(64, 3)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for rows in torch.arange(64).split(16):
    loss = torch.nn.functional.mse_loss(model(x[rows]), x[rows, :1])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_a_tape_is_read_once_and_forgotten_with_its_readings(record: Record) -> None:
    tape = record(SCRIPT)
    made: list[int] = []
    first = [remembered(tape, "key", lambda: made.append(1) or len(made)) for _ in range(3)]
    assert first == [1, 1, 1]
    assert Learning.read(tape) is Learning.read(tape)
    task = Task.read(tape)
    assert yardstick(tape, 0, task) is yardstick(tape, 0, Task.read(tape, 0))
    known = id(tape)
    assert known in module._KEPT
    del tape
    gc.collect()
    assert known not in module._KEPT


def test_a_tape_with_other_steps_is_read_anew(record: Record) -> None:
    tape = record(SCRIPT)
    whole = Learning.read(tape)
    assert Learning.read(msgspec.structs.replace(tape, passes=tape.passes[:2])).passes == 2
    assert whole.passes == 4
    tape.passes = tape.passes[:3]
    assert Learning.read(tape).passes == 3


@pytest.mark.parametrize("shapes", [((5, 3), (7, 3)), ((5, 3), (4, 2)), ((6,), (3,))])
def test_sums_over_targets_leave_out_what_is_not_finite(shapes: tuple[tuple[int, ...], ...]) -> None:
    torch.manual_seed(0)
    targets = [3 + torch.randn(shape) for shape in shapes]
    targets[0][0] = torch.nan
    found = of_targets(Plain("regression", "value", 0, 0, None), targets)  # pyright: ignore[reportArgumentType]
    same = shapes[0][1:] == shapes[1][1:]
    every = (torch.cat(targets) if same else torch.cat([t.flatten() for t in targets])).double()
    torch.testing.assert_close(found.mean, every.nanmean(0))
    assert found.variance == pytest.approx(float((every - every.nanmean(0)).square().nanmean()))
