"""Numbers that change from step to step stand in a slot: the steps are one program, and replay to the same losses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.whole import diagnosed
from unstuck.micro.step import Recorded
from unstuck.tape.model import Tape

SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
x = torch.randn(200, 6)
y = (x[:, :2].sum(1) > 0).long()
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)){kind}
x = x{kind}
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
for step in range({steps}):
    rows = torch.randperm(200)[:{size}]
    share = min(1.0, (step + 1) / 30)
    out = model(x[rows])
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("accuracy", (model(x).argmax(1) == y).float().mean().item())
"""
LOSSES = {
    "a weight": "loss = F.cross_entropy(out, y[rows]) + share * out.square().mean()",
    "a weight from the left": "loss = share * F.cross_entropy(out, y[rows])",
    "a temperature": "loss = F.cross_entropy(out / (2 - share), y[rows])",
    "two numbers": "loss = share * F.cross_entropy(out + 0.1 * share, y[rows]) + (1 - share) * out.abs().mean()",
    "a count": "loss = F.cross_entropy(out, y[rows], reduction='sum') / (20 + step)",
    "in place": "out *= share; loss = F.cross_entropy(out, y[rows])",
    "under a name": "loss = F.cross_entropy(torch.mul(out, share), y[rows])",
}


def record(folder: Path, loss: str, kind: str = "", size: str = "20", rate: str = "0.1", steps: int = 12) -> Tape:
    return tape_of(SCRIPT.format(loss=loss, kind=kind, steps=steps, size=size, rate=rate), folder)


def numbers(tape: Tape) -> list[int]:
    return [p.program for p in tape.passes]


@pytest.mark.parametrize("kind", ["", ".double()"])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_steps_with_changing_numbers_are_one_program_with_their_own_losses(
    tmp_path: Path, loss: str, kind: str
) -> None:
    tape = record(tmp_path, loss, kind, rate="0.0")  # the weights stay, so that each step can be run by itself
    assert len(set(numbers(tape))) == 1
    recorded = Recorded(tape)
    for at, one in enumerate(tape.passes):
        assert recorded.step(at).loss() == pytest.approx(one.loss, rel=1e-6 if kind else 0, abs=0)


def test_numbers_that_stay_are_part_of_the_program(tmp_path: Path) -> None:
    tape = record(tmp_path, "loss = 0.5 * F.cross_entropy(out / 2, y[rows])")
    (program,) = (tape.programs[n] for n in set(numbers(tape)))
    assert program.slots == 2
    assert [c.args[1] for c in program.calls if c.name in ("div", "mul", "truediv", "rmul")] == [2, 0.5]


def test_other_calls_are_another_program(tmp_path: Path) -> None:
    tape = record(tmp_path, "loss = F.cross_entropy(out, y[rows]) + (share * out.square().mean() if step % 2 else 0.0)")
    assert len(set(numbers(tape))) == 2


def test_the_last_batch_of_an_epoch_is_the_same_program_with_its_own_count(tmp_path: Path) -> None:
    loss = "loss = F.cross_entropy(out, y[rows], reduction='sum') / len(rows)"
    tape = record(tmp_path, loss, size="(20 if step % 4 else 13)")
    assert len(set(numbers(tape))) == 1
    assert {float(tape.tensors[p.outside[-1]]) for p in tape.passes} == {20.0, 13.0}


@pytest.mark.net
def test_a_run_whose_loss_is_weighted_anew_at_each_step_is_judged_by_all_of_them(tmp_path: Path) -> None:
    loss = LOSSES["a weight"].replace("share *", "0.01 * share *")
    text = SCRIPT.format(loss=loss, kind="", steps=400, size=20, rate="1e-5")
    whole = diagnosed(text, tmp_path)
    assert "lr-too-low" in [f.fault for f in whole.diagnosis.causes]
