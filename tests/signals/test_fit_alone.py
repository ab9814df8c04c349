"""The last of several fits as a tape of its own: experiments on it begin with its own first weights."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.micro.step import Recorded
from unstuck.replay.bench import Bench
from unstuck.signals.fit_alone import alone

FITS = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(320, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
teacher = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
student = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def fit(model, rate, wanted):
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for epoch in range(6):
        for rows in torch.randperm(320).split(32):
            loss = nn.functional.cross_entropy(model(x[rows]), wanted(rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def given(rows):
    return y[rows]


def told(rows):
    with torch.no_grad():
        return teacher(x[rows]).softmax(1)


fit(teacher, 0.1, given)
{then}
"""


@pytest.mark.parametrize(
    "then",
    [
        "fit(student, 0.05, told)",
        "fit(student, 0.05, given)",
        "student[2] = nn.Linear(16, 2)\nfit(student, 0.05, told)",
    ],
)
def test_a_student_is_replayed_without_its_teachers_fit(record: Record, then: str) -> None:
    tape = record(FITS.format(then=then))
    last = alone(tape)
    assert (len(tape.passes), len(last.passes), len(last.updates)) == (120, 60, 60)
    assert alone(last) is last
    assert Recorded(last).first.loss() == pytest.approx(last.passes[0].loss, rel=1e-5)
    run = Bench(last).untreated(1.0)
    assert float(run.losses[0][0]) == pytest.approx(last.passes[0].loss, rel=1e-4)


def test_a_fit_that_goes_on_with_trained_weights_is_not_taken_apart(record: Record) -> None:
    tape = record(FITS.format(then="fit(teacher, 0.01, given)"))
    assert alone(tape) is tape


def test_one_fit_is_the_whole_run(record: Record) -> None:
    tape = record(FITS.format(then=""))
    assert alone(tape) is tape


def test_an_optimizer_that_holds_a_layer_that_was_replaced_is_found_in_the_last_fit(
    record: Record, findings: Findings
) -> None:
    late = (
        "student.requires_grad_(False)\nstudent[2].requires_grad_(True)\n"
        "optimizer = torch.optim.SGD(student[2].parameters(), lr=0.05)\nstudent[2] = nn.Linear(16, 2)\n"
        "for epoch in range(6):\n    for rows in torch.randperm(320).split(32):\n"
        "        loss = nn.functional.cross_entropy(student(x[rows]), y[rows])\n"
        "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()"
    )
    (found,) = findings(record(FITS.format(then=late)), "optimizer-params")
    assert found.message.startswith("the optimizer holds none of the 2 weights that the loss depends on")
    assert found.effect.word == "proven"
