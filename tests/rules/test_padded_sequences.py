"""Recurrent layers that run on through padding: the last position and the final state."""

from __future__ import annotations

import pytest

from tests.recorded import Findings
from tests.scripts import edited, run

FAULT = "padding-unmasked"
SCRIPT = """
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

torch.manual_seed(0)
lengths = torch.randint(2, 6, (600,))
tokens = torch.randint(1, 30, (600, 24)) * (torch.arange(24) < lengths[:, None])
y = (tokens[torch.arange(600), lengths - 1] > 15).long()


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 16, padding_idx=0)
        self.rnn = nn.{layer}(16, 24, batch_first=True)
        self.head = nn.Linear(24, 2)

    def forward(self, tokens):
        {forward}


model = Reader()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for epoch in range(6):
    for rows in torch.randperm(600).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""
LAST = "steps, _ = self.rnn(self.embedding(tokens))\n        return self.head(steps[:, -1])"
STATE = "_, state = self.rnn(self.embedding(tokens))\n        return self.head(state[-1])"
PACKED = (
    "packed = pack_padded_sequence(self.embedding(tokens), (tokens != 0).sum(1), True, False)\n"
    "        _, state = self.rnn(packed)\n        return self.head(state[-1])"
)
CELL = "_, (state, _) = self.rnn(self.embedding(tokens))\n        return self.head(state[-1])"


@pytest.mark.parametrize(("layer", "forward"), [("RNN", LAST), ("RNN", STATE), ("LSTM", CELL)])
def test_a_layer_that_ends_in_padding_is_reported_and_mended(layer: str, forward: str, findings: Findings) -> None:
    text = SCRIPT.format(layer=layer, forward=forward)
    (finding,) = findings(text, FAULT)
    assert finding.known == "observed"
    before, after = _last_loss(text), _last_loss(edited(finding.remedies[0], text))
    assert after < 0.3 < before


def _last_loss(text: str) -> float:
    return float(run(text)[1].split()[-1])


def test_packed_sequences_are_not_reported(findings: Findings) -> None:
    assert findings(SCRIPT.format(layer="GRU", forward=PACKED), FAULT) == []


def test_a_state_beside_the_steps_is_named_without_a_repair(findings: Findings) -> None:
    both = "steps, state = self.rnn(self.embedding(tokens))\n        return self.head(steps.sum(1) + state[-1])"
    (finding,) = findings(SCRIPT.format(layer="GRU", forward=both), FAULT)
    assert finding.remedies == ()
    assert "final state" in finding.message


MASKED = """
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(0)
rows = [torch.randint(1, 20, (int(n),)) for n in torch.randint(3, 12, (160,))]
tokens = pad_sequence(rows, batch_first=True)
y = torch.tensor([int(row[0] > 10) for row in rows])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16, padding_idx=0)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)
        self.query, self.key, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, tokens):
        h, real = self.embedding(tokens), (tokens != 0)
        {body}
        return self.head((h * real.unsqueeze(-1)).sum(1) / real.sum(1, keepdim=True))


model = Encoder()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(3):
    for at in torch.randperm(160).split(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens[at]), y[at])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
BY_HAND = (
    "weights = self.query(h) @ self.key(h).transpose(1, 2) / 4\n        "
    "h = h + weights.masked_fill({mask}.unsqueeze(1), -1e9).softmax(-1) @ h"
)
FUSED = "h = nn.functional.scaled_dot_product_attention(self.query(h), self.key(h), h, {mask}.unsqueeze(1)) + h"


@pytest.mark.parametrize(
    ("body", "right", "wrong"),
    [
        ("h = self.layers(h, src_key_padding_mask={mask})", "~real", "real"),
        (BY_HAND, "(~real)", "real"),
        (FUSED, "real", "(~real)"),
    ],
)
def test_an_inverted_mask_is_reported(findings: Findings, body: str, right: str, wrong: str) -> None:
    told = [
        [f for f in findings(MASKED.format(body=body.format(mask=mask)), FAULT) if "inverted" in f.message]
        for mask in (right, wrong)
    ]
    assert told[0] == []
    (finding,) = told[1]
    assert (finding.known, finding.never_meant) == ("observed", True)
    assert finding.site is not None and finding.site.function == "Encoder.forward"
