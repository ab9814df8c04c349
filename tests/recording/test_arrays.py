"""What numpy hands to torch calls of the step is recorded: the step can be run again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.recorded import Record
from unstuck.micro.step import Recorded
from unstuck.recording.arrays import plain

SCRIPT = """
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(40, 6), torch.randint(3, (40,))
model = nn.Linear(6, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
known = np.arange(40) % 4 > 0
for step in range(6):
    out = model(x)
    picked, wanted = {picked}, y[torch.from_numpy(known)]
    loss = nn.functional.cross_entropy(picked, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "picked",
    [
        "out[known]",
        "out[np.where(known)]",
        "out[np.where(known)[0]]",
        "out[np.where(known)[0], :] * np.float32(2)",
        "out[[int(i) for i in np.where(known)[0]]] / np.int64(3)",
        "torch.stack([out[i] for i in np.where(known)[0]])",
    ],
)
def test_a_step_with_arrays_is_run_again(picked: str, record: Record) -> None:
    tape = record(SCRIPT.format(picked=picked))
    assert not tape.programs[tape.passes[0].program].missing
    assert Recorded(tape).first.loss() == pytest.approx(tape.losses[0], rel=1e-5)


def test_arguments_without_arrays_stay_the_same_object() -> None:
    arguments = (torch.ones(2), [1, 2.0], {"dim": 1})
    assert plain(arguments) is arguments


def test_an_array_is_copied_and_other_types_stay() -> None:
    whole, words = np.arange(3), np.array(["a"])
    tensor, kept = plain((whole, words))
    whole[0] = 9
    assert tensor.tolist() == [0, 1, 2]
    assert kept is words
