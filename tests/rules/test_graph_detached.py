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
