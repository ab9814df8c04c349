"""The norms of a step's gradients stand in the order of its program's weights, whichever weights were met first."""

from __future__ import annotations

from tests.recorded import Record

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(200, 8)
trunk, pick, value = nn.Linear(8, 16), nn.Linear(16, 3), nn.Linear(16, 1)
optimizer = torch.optim.SGD([*trunk.parameters(), *pick.parameters(), *value.parameters()], lr=0.01)


def net(x):
    hidden = trunk(x).tanh()
    return pick(hidden), value(hidden)


for rows in torch.randperm(200).split(20):
    with torch.no_grad():
        scores, _ = net(x[rows])
    taken = scores.softmax(1).multinomial(1).squeeze(1)
    scores, guess = net(x[rows])
    loss = nn.functional.cross_entropy(scores, taken) + (guess - x[rows, :1]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    print(trunk.weight.grad.norm().item(), pick.weight.grad.norm().item(), value.weight.grad.norm().item())
    optimizer.step()
"""


def test_each_weight_has_the_norm_of_its_own_gradient(record: Record) -> None:
    tape = record(SCRIPT)
    first = tape.passes[0]
    norms = dict(zip(tape.programs[first.program].weights(), first.gradient, strict=True))
    printed = [float(word) for word in tape.said[0].line.split()]
    assert [round(norms[f"{name}.weight"], 5) for name in ("trunk", "pick", "value")] == [round(n, 5) for n in printed]
