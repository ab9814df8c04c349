"""A softmax over the wrong axis, in attention written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

ATTENTION = """
import torch
from torch import nn

torch.manual_seed(2)
x = torch.randn(480, 6, 8)
y = x[torch.arange(480), 0].argmax(1)
embed, head = nn.Linear(8, 8), nn.Linear(8, 8)
optimizer = torch.optim.Adam([*embed.parameters(), *head.parameters()], lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(480).split({batch}):
        h = embed(x[rows])
        mixed = torch.softmax(h @ h.transpose(1, 2), dim={dim}) @ h
        loss = nn.functional.cross_entropy(head(mixed[:, 0] + h[:, 0]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def found(tape: Tape) -> list[Finding]:
    return examine(Readings(tape), {"softmax-dim": catalogue()["softmax-dim"]})[0]


@pytest.mark.parametrize(("dim", "sure"), [(0, True), (1, False), (2, None)])
def test_attention_over_the_batch_is_certain(tmp_path: Path, dim: int, sure: bool | None) -> None:
    findings = found(tape_of(ATTENTION.format(dim=dim, batch=40), tmp_path))
    assert [f.effect.word == "proven" for f in findings] == ([] if sure is None else [sure])
