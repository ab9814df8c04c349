"""A state that one step hands to the next behind detach(), as truncated backpropagation does: it is data."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.replay.bench import Bench
from unstuck.tape.program import Outside

TRUNCATED = """
import torch
from torch import nn

torch.manual_seed(0)
data = torch.randint(0, 12, (30, 8)).repeat(8, 1)
embed, cell, out = nn.Embedding(12, 16), nn.GRUCell(16, 24), nn.Linear(24, 12)
weights = [*embed.parameters(), *cell.parameters(), *out.parameters()]
optimizer = torch.optim.Adam(weights, lr=0.01)


def run(x, h):
    made = []
    for token in x:
        h = cell(embed(token), h)
        made.append(h)
    return torch.stack(made), torch.stack([h])


state = torch.zeros(1, 8, 24)
for epoch in range(6):
    for i in range(0, len(data) - 11, 10):
        state = state.detach()
        optimizer.zero_grad()
        made, state = run(data[i:i + 10], state[0])
        for _ in range(3):
            with torch.no_grad():
                run(data[:10], torch.zeros(8, 24))
        loss = nn.functional.cross_entropy(out(made).flatten(0, 1), data[i + 1:i + 11].flatten())
        loss.backward()
        optimizer.step()
"""


@pytest.mark.net
def test_steps_that_begin_with_a_detached_state_can_be_replayed(record: Record) -> None:
    tape = record(TRUNCATED)
    assert [p.missing for p in tape.programs] == [""] * len(tape.programs)
    bench = Bench(tape)
    assert bench.why == ""
    assert float(bench.written.skill().median()) > 0.3
    last = tape.programs[tape.passes[-1].program]
    assert any(isinstance(r, Outside) for call in last.calls if call.name == "detach" for r in call.refs())
