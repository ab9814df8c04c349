"""Dot-product attention written by hand: look up the value that belongs to a queried key, with padding masked out."""

import math
import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
KEYS, VALUES, SLOTS = 12, 6, 8


def batch(n):
    keys = torch.rand(n, KEYS).argsort(dim=1)[:, :SLOTS]
    values = torch.randint(0, VALUES, (n, SLOTS))
    filled = torch.randint(3, SLOTS + 1, (n,))
    pad = torch.arange(SLOTS)[None, :] >= filled[:, None]
    which = (torch.rand(n) * filled).long()
    rows = torch.arange(n)
    return keys, values, pad, keys[rows, which], values[rows, which]


class Lookup(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.key_emb, self.val_emb = nn.Embedding(KEYS, d), nn.Embedding(VALUES, d)
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.out = nn.Linear(d, VALUES)
        self.d = d

    def forward(self, keys, values, pad, query):
        memory = self.key_emb(keys)
        q = self.q(self.key_emb(query)).unsqueeze(1)
        scores = q @ self.k(memory).transpose(1, 2) / math.sqrt(self.d)
        scores = scores.masked_fill(pad.unsqueeze(1), float("-inf"))
        weights = torch.softmax(scores, dim=-1)
        read = weights @ self.v(memory + self.val_emb(values))
        return self.out(read.squeeze(1))


model = Lookup()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(900):
    *inputs, target = batch(64)
    loss = nn.functional.cross_entropy(model(*inputs), target)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 150 == 0:
        print(f"step {step:4d} loss {loss.item():.3f}")

*inputs, target = batch(1000)
with torch.no_grad():
    accuracy = (model(*inputs).argmax(1) == target).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
