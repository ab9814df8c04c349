"""Gradients that are no derivatives: bugs in a backward of one's own, and what is done on purpose."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro.own_gradient import OwnGradient, ask
from unstuck.micro.step import Recorded
from unstuck.tape.interpreter import CannotReplay

SCRIPT = """
import torch
from torch import nn


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return {forward}

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return {backward}


torch.manual_seed(0)
x = torch.randn(200, 8)
y = x[:, :1] * x[:, 1:2]
first, second, last = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 1)
weights = [*first.parameters(), *second.parameters(), *last.parameters()]
{hook}
optimizer = torch.optim.SGD(weights, lr=0.01)
for epoch in range(2):
    for rows in torch.randperm(200).split(20):
        optimizer.zero_grad()
        hidden = first(x[rows]).tanh()
        hidden = hidden + {call}
        loss = {scale} * nn.functional.mse_loss(last(hidden), y[rows])
        loss.backward()
        optimizer.step()
"""
RELU = {"forward": "x.clamp(min=0)", "backward": "grad * (x > 0)", "hook": "", "scale": "1"}
RELU["call"] = "Own.apply(second(hidden))"


def asked(record: Record, **changes: str) -> OwnGradient:
    return ask(Recorded(record(SCRIPT.format(**{**RELU, **changes}))))


def test_a_gradient_that_is_changed_in_place_is_wrong_for_what_shares_it(record: Record) -> None:
    found = asked(record, backward="grad.mul_(x > 0)")
    assert found.off and {name for name, *_ in found.off} <= {"first.weight", "first.bias"}
    assert found.own == ("Own",)
    assert found.site is not None and found.site.line == 13
    (statement,) = found.statements
    assert "backward of Own" in statement.what


@pytest.mark.parametrize("changes", [
    {},
    {"scale": "128"},
    {"forward": "x.round()", "backward": "grad"},
], ids=["right", "scaled loss", "straight through"])  # fmt: skip
def test_what_is_meant_is_not_reported(record: Record, changes: dict[str, str]) -> None:
    assert asked(record, **changes).statements == ()


def test_a_function_that_only_changes_the_gradient_is_not_asked(record: Record) -> None:
    with pytest.raises(CannotReplay, match="Own"):
        asked(record, forward="x.view_as(x)", backward="-0.3 * grad")


def test_a_hook_that_changes_a_gradient_is_reported_without_a_function(record: Record) -> None:
    found = asked(record, hook="second.weight.register_hook(lambda g: g * 5)", call="torch.relu(second(hidden))")
    assert [name for name, *_ in found.off] == ["second.weight"]
    assert found.own == ()
