"""Linear warm-up, then a cosine down to nothing, stepped per batch: rates near 0 at both ends are meant."""

import math
import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
TOTAL, WARMUP, T, V = 500, 50, 10, 8


def lr_lambda(step):
    if step < WARMUP:
        return (step + 1) / WARMUP
    progress = (step - WARMUP) / (TOTAL - WARMUP)
    return 0.5 * (1 + math.cos(math.pi * progress))


class Reverser(nn.Module):
    """Says the sequence backwards."""

    def __init__(self, d=32):
        super().__init__()
        self.emb = nn.Embedding(V, d)
        self.pos = nn.Embedding(T, d)
        block = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 1)
        self.out = nn.Linear(d, V)

    def forward(self, s):
        return self.out(self.encoder(self.emb(s) + self.pos(torch.arange(T))))


model = Reverser()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda)
for step in range(TOTAL):
    s = torch.randint(0, V, (64, T))
    loss = nn.functional.cross_entropy(model(s).transpose(1, 2), s.flip(1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 100 == 0:
        print(f"step {step} lr {scheduler.get_last_lr()[0]:.2e} loss {loss.item():.4f}")
model.eval()
with torch.no_grad():
    s = torch.randint(0, V, (300, T))
    print(f"RESULT accuracy {(model(s).argmax(-1) == s.flip(1)).float().mean():.4f}")
