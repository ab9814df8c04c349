"""The recording holds a step's activations no longer than the script does, and says how much memory that took."""

from __future__ import annotations

import pytest

from tests.recorded import Record

TEXT = """
import weakref
import torch
from torch import nn
torch.manual_seed(0)
first, second = nn.Linear(4, {width}), nn.Linear({width}, 1)
optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.01)
alive = []
for step in range(9):
    hidden = first(torch.randn({rows}, 4))
    seen = weakref.ref(hidden)
    loss = second(torch.tanh(hidden)).square().mean()
    del hidden
    loss.register_hook(lambda gradient: alive.append(seen() is not None))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert not any(alive[{after}:]), alive
"""


def test_activations_are_free_in_the_backward_once_no_step_has_reached_back(record: Record) -> None:
    assert record(TEXT.format(width=8, rows=16, after=6)).error is None


@pytest.mark.net
def test_large_activations_are_free_from_the_first_backward_on(record: Record) -> None:
    assert record(TEXT.format(width=2048, rows=10_000, after=0)).error is None


def test_the_tape_says_how_much_memory_the_script_held(record: Record) -> None:
    assert record(TEXT.format(width=8, rows=16, after=9)).facts.memory > 2**24
