"""An evaluation in which the network reads its own choices is not scored like a batch of the training."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.whole_runs import run_of
from unstuck.signals.evaluation import FinalEvaluation, reads_own_choices

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
WORDS, LENGTH, START = 12, 5, 11


def batch(n):
    x = torch.randint(1, 10, (n, LENGTH))
    return x, x.flip(1)


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 24)
        self.encoder = nn.GRU(24, 48, batch_first=True)
        self.decoder = nn.GRUCell(24, 48)
        self.out = nn.Linear(48, WORDS)

    def forward(self, x, y=None):
        state = self.encoder(self.embed(x))[1][0]
        token, found = torch.full_like(x[:, 0], START), []
        for t in range(LENGTH):
            state = self.decoder(self.embed(token), state)
            logits = self.out(state)
            found.append(logits)
            token = logits.argmax(1) if y is None else y[:, t]
        return torch.stack(found, 1)


model = Translator()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(300):
    x, y = batch(32)
    loss = nn.functional.cross_entropy(model(x, y).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    x, y = batch(150)
    print("tokens right", (model({given}).argmax(2).flatten() == y.flatten()).float().mean().item())
"""


def test_free_decoding_has_no_score_of_the_training(record: Record) -> None:
    tape = record(SCRIPT.replace("{given}", "x"))
    assert reads_own_choices(tape.programs[tape.evaluations[-1].program])
    with pytest.raises(NotApplicable):
        FinalEvaluation.read(tape)
    assert run_of(tape).evaluation is None


def test_answers_that_do_not_fit_the_targets_are_not_scored(record: Record) -> None:
    tape = record(SCRIPT.replace("{given}", "x, y"))  # flattened after the choice, not before it as in training
    assert not reads_own_choices(tape.programs[tape.evaluations[-1].program])
    run = run_of(tape)
    assert run.evaluation is None or run.evaluation > 0.3
    assert state_of(run) != "below-headroom"
