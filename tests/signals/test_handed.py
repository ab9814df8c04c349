"""Gradients that are handed to the script, which takes the steps itself: an inner loop is no lost training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.coverage import Coverage
from unstuck.signals.task import Task, main_program
from unstuck.signals.thrown_away import ThrownAway
from unstuck.tape.model import Tape

SCRIPT = """
from copy import deepcopy
import torch
from torch import nn
from torch.func import functional_call
import torch.nn.functional as F

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
optimizer = torch.optim.Adam(net.parameters(), lr=0.003)


def adapted(model, x, y):
    fast = dict(model.named_parameters())
    for _ in range(3):
        gradients = torch.autograd.grad(F.cross_entropy(functional_call(model, fast, (x,)), y), list(fast.values()))
        fast = {name: w - 0.1 * g for (name, w), g in zip(fast.items(), gradients)}
    return fast


for step in range(30):
    total = 0.0
    for _ in range(2):
        y = torch.arange(3).repeat(10)
        x = 2 * torch.randn(3, 2)[y] + torch.randn(30, 2)
        total = total + F.cross_entropy(functional_call(net, adapted(net, x, y), (x,)), y)
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    adapted(deepcopy(net), x, y)
"""


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return tape_of(SCRIPT, Path(tmp_path_factory.mktemp("handed")))


def test_passes_tell_whether_their_gradients_were_handed_to_the_script(tape: Tape) -> None:
    assert sum(p.handed for p in tape.passes) > sum(not p.handed for p in tape.passes) > 0


def test_copies_that_the_script_adapts_are_not_left_out_of_the_optimizer(tape: Tape) -> None:
    assert Coverage.read(tape).loose == ()


def test_the_step_of_the_outer_loop_is_the_one_that_is_judged(tape: Tape) -> None:
    assert not any(p.handed for p in tape.passes if p.program == main_program(tape))
    assert Task.read(tape).kind in ("classes", "unknown")


def test_no_gradient_of_the_inner_loop_is_thrown_away(tape: Tape) -> None:
    try:
        assert ThrownAway.read(tape).lost == 0
    except NotApplicable:
        assert Task.read(tape).kind == "unknown"
