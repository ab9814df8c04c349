"""Arguments of recorded calls that are no tensors, and copies of weights that are kept."""

from __future__ import annotations

import pytest
import torch

from tests.recorded import Record
from unstuck.recording.slicing import shown

COPIED = """
import copy
import torch
from torch import nn


class Silent:
    def __repr__(self):
        raise AssertionError("an object of the script's was written out")


torch.manual_seed(0)
x = torch.randn(60, 4)
model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(4):
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        print(model(x).square().mean().item())
        best = {best}
"""


@pytest.mark.parametrize(
    "best",
    [
        "copy.deepcopy(model.state_dict(), {1: Silent()})",
        "{name: weight.clone() for name, weight in model.state_dict().items()}",
        "[weight.detach().cpu().clone() for weight in model.state_dict().values()]",
    ],
)
def test_weights_that_are_kept_after_an_evaluation_are_no_part_of_it(record: Record, best: str) -> None:
    tape = record(COPIED.replace("{best}", best))
    assert (len(tape.passes), len(tape.evaluations)) == (4, 4)
    assert tape.notes == ()


@pytest.mark.parametrize(
    ("leaf", "text"),
    [(1, "1"), (1.0, "1.0"), (None, "None"), (torch.float64, "torch.float64"), (..., "Ellipsis"),
     (torch.UntypedStorage(8), "UntypedStorage"), (torch.Generator(), "Generator")],
)  # fmt: skip
def test_only_plain_arguments_are_written_out(leaf: object, text: str) -> None:
    assert shown(leaf) == text
