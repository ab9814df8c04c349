"""Sums over the members of a row, whose numbers differ: told where the result grows with them, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.micro import gathering
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
near = torch.eye(60)
near[0] = 1.0
near[:, 0] = 1.0
entering = {entering}
x, y = torch.randn(60, 5), torch.arange(60) % 3
layer, last = nn.Linear(5, 8), nn.Linear(8, 3)
optimizer = torch.optim.SGD([*layer.parameters(), *last.parameters()], lr=0.001)
for epoch in range(4):
    hidden = {gathered}
    loss = nn.functional.cross_entropy(last(torch.relu(hidden)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
LAYOUTS = ["near", "near.to_sparse()", "near.to_sparse_csr()"]


def told(folder: Path, entering: str, gathered: str) -> list[str]:
    tape = tape_of(SCRIPT.format(entering=entering, gathered=gathered), folder)
    return [s.what for s in gathering.ask(Recorded(tape)).statements]


@pytest.mark.parametrize("entering", LAYOUTS)
def test_a_sum_that_grows_with_the_members_is_told(tmp_path: Path, entering: str) -> None:
    (said,) = told(tmp_path, entering, "entering @ layer(x)")
    assert "sums over 2 rows for a typical row, 60 for one" in said


DIVIDED = [
    "(entering @ layer(x)) / (entering @ torch.ones(60, 1))",
    "(1 / near.sum(1))[:, None] * (entering @ layer(x))",
    "(entering @ layer(x)) / (entering @ torch.exp(0 * layer(x)))",
]


@pytest.mark.parametrize("entering", LAYOUTS)
@pytest.mark.parametrize("gathered", DIVIDED)
def test_a_sum_that_is_divided_by_the_members_is_not_told(tmp_path: Path, entering: str, gathered: str) -> None:
    assert told(tmp_path, entering, gathered) == []


def test_a_batch_of_matrices_is_divided_each_by_its_own(tmp_path: Path) -> None:
    gathered = "((entering @ layer(x)) / entering.sum(2, keepdim=True)).mean(0)"
    assert told(tmp_path, "torch.stack([near, near])", gathered) == []
