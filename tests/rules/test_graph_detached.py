"""A network whose result leaves the autograd graph on its way to the loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

APART = """
import torch
from torch import nn

torch.manual_seed(1)
x = torch.randn(800, 12)
y = (x[:, 0] * x[:, 1] > 0).long()
encoder, head = nn.Sequential(nn.Linear(12, 3), nn.Tanh()), nn.Linear(3, 2)
optimizer = torch.optim.Adam([*{held}], lr=0.01)


def scaled(codes):
    return {way}


for epoch in range(8):
    for rows in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(scaled(encoder(x[rows]))), y[rows])
        loss.backward()
        optimizer.step()
"""
NUMPY = "torch.from_numpy(codes.detach().numpy() * 2)"
BOTH = "encoder.parameters(), *head.parameters()"


def found(tape: Tape) -> list[Finding]:
    return examine(Readings(tape), {"graph-detached": catalogue()["graph-detached"]})[0]


def test_an_encoder_whose_codes_pass_through_numpy_is_detached(tmp_path: Path) -> None:
    (finding,) = found(tape_of(APART.format(held=BOTH, way=NUMPY), tmp_path))
    assert finding.effect.word == "proven"
    assert "encoder.0" in finding.message


@pytest.mark.parametrize(("held", "way"), [(BOTH, "codes * 2"), ("head.parameters()", NUMPY)])
def test_nothing_is_reported_in_the_graph_or_where_no_optimizer_holds_the_network(
    tmp_path: Path, held: str, way: str
) -> None:
    assert not found(tape_of(APART.format(held=held, way=way), tmp_path))


MEANT = """
import copy
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(1)
x, later = torch.randn(400, 6), torch.randn(400, 6)
y = x.sum(1)
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
other = copy.deepcopy(net)
{more}
optimizer = torch.optim.Adam([*net.parameters()], lr=0.01)
for epoch in range(2):
    for rows in torch.randperm(400).split(40):
        {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        {after}
"""
AIM = (
    "with torch.no_grad(): aim = y[rows, None] + 0.9 * other(later[rows])\n        loss = F.mse_loss(net(x[rows]), aim)"
)
TARGETS = {
    "a target network": (AIM, "[p.data.lerp_(q.data, 0.1) for p, q in zip(other.parameters(), net.parameters())]"),
    "a target of its own": ("loss = F.mse_loss(net(x[rows]), y[rows, None] + 0.9 * net(later[rows]).detach())", "pass"),
    "a coefficient": (
        "out = net(x[rows])\n        loss = (out * (y[rows, None] - out.detach())).square().mean()",
        "pass",
    ),
    "straight through": (
        "out = net(x[rows])\n        loss = F.mse_loss(out + (out.sign() - out).detach(), y[rows, None])",
        "pass",
    ),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_cut_that_takes_nothing_from_training_is_not_reported(kind: str, tmp_path: Path) -> None:
    loss, after = TARGETS[kind]
    assert not found(tape_of(MEANT.format(more="", loss=loss, after=after), tmp_path))


def test_the_second_player_s_loss_may_cut_the_first_player(tmp_path: Path) -> None:
    more = "first = torch.optim.Adam(other.parameters(), lr=0.01)\njudge = nn.Linear(1, 1)\n"
    loss = "loss = net(other(x[rows]).detach().expand(-1, 6)).mean()"
    after = "first.zero_grad(); (-net(other(x[rows]).expand(-1, 6)).mean()).backward(); first.step()"
    assert not found(tape_of(MEANT.format(more=more, loss=loss, after=after), tmp_path))


def test_a_cut_in_the_middle_of_a_network_is_reported(tmp_path: Path) -> None:
    loss = "loss = F.mse_loss(net[2](net[1](net[0](x[rows]).detach())), y[rows, None])"
    (finding,) = found(tape_of(MEANT.format(more="", loss=loss, after="pass"), tmp_path))
    assert "detach" in finding.message


COPIED = """
import torch

torch.manual_seed(0)
x = torch.randn(400)
end = torch.tensor(9.0, requires_grad=True)
optimizer = torch.optim.SGD([end], lr=0.05)
for step in range(60):
    line = {made}
    optimizer.zero_grad()
    loss = ((x[:, None] + 4 - line) ** 2).mean()
    loss.backward()
    optimizer.step()
"""


def test_a_leaf_made_of_numbers_in_every_step_is_detached(tmp_path: Path) -> None:
    text = COPIED.format(made="torch.linspace(0, end.item(), 8).requires_grad_()")
    tape = tape_of(text, tmp_path)
    (finding,) = found(tape)
    assert (finding.known, finding.effect.word) == ("observed", "proven")
    assert finding.site is not None
    assert "linspace" in text.splitlines()[finding.site.line - 1]
    assert not examine(Readings(tape), {"optimizer-params": catalogue()["optimizer-params"]})[0]


def test_a_leaf_that_is_a_function_of_what_the_optimizer_holds_is_not(tmp_path: Path) -> None:
    assert not found(tape_of(COPIED.format(made="end * torch.linspace(0, 1, 8)"), tmp_path))
