"""A curriculum: parity of short bit strings first, longer ones later; the loss jumps whenever the task hardens."""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))


class Parity(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, 1)

    def forward(self, bits):
        states, _ = self.gru(bits.unsqueeze(-1))
        return self.fc(states).squeeze(-1)


def batch(n, length):
    bits = torch.randint(0, 2, (n, length)).float()
    return bits * 2 - 1, bits.cumsum(1) % 2


model = Parity()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
step = 0
for length in (2, 3, 5, 8, 12):
    for _ in range(120):
        bits, parity = batch(64, length)
        loss = nn.functional.binary_cross_entropy_with_logits(model(bits), parity)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
    print(f"step {step} length {length} loss {loss.item():.4f}")
with torch.no_grad():
    bits, parity = batch(500, 12)
    print(f"RESULT accuracy {((model(bits) > 0) == (parity > 0.5)).float().mean():.4f}")
