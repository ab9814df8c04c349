"""Tags of padded sentences: a loss for each word, times a mask, over its sum; padding has the tag of real words."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))
embedding = nn.Embedding(30, 32, padding_idx=0)
lstm = nn.LSTM(32, 48, batch_first=True, bidirectional=True)
head = nn.Linear(96, 5)
parameters = [*embedding.parameters(), *lstm.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=3e-3)
for step in range(250):
    lengths = torch.randint(2, 13, (32,))
    mask = torch.arange(20)[None] < lengths[:, None]
    words = torch.randint(1, 30, (32, 20)) * mask
    tags = ((words + words.roll(1, 1)) % 5) * mask
    states, _ = lstm(embedding(words))
    logits = head(states)
    each = F.cross_entropy(logits.transpose(1, 2), tags, reduction="none")
    loss = (each * mask.float()).sum() / mask.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
right = ((logits.argmax(-1) == tags) & mask).sum() / mask.sum()
print(f"RESULT accuracy {right.item():.4f}")
