"""Sequence tagging with a bidirectional LSTM: padded positions are left out of the loss by ignore_index."""

import os
import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
PAD = -100


def example(rng):
    """A tag says whether the symbol is larger than both of its neighbours."""
    s = [rng.randint(1, 9) for _ in range(rng.randint(5, 15))]
    tags = [int(0 < i < len(s) - 1 and s[i - 1] < s[i] > s[i + 1]) for i in range(len(s))]
    return torch.tensor(s), torch.tensor(tags)


def collate(items):
    words, tags = zip(*items, strict=True)
    return pad_sequence(words, batch_first=True), pad_sequence(tags, batch_first=True, padding_value=PAD)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 12, padding_idx=0)
        self.lstm = nn.LSTM(12, 32, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(64, 2)

    def forward(self, words):
        return self.tag(self.lstm(self.embed(words))[0])


rng = random.Random(3)
train, test = [example(rng) for _ in range(1500)], [example(rng) for _ in range(300)]
torch.manual_seed(SEED)
model = Tagger()
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
for epoch in range(6):
    model.train()
    for words, tags in DataLoader(train, batch_size=32, shuffle=True, collate_fn=collate):
        optimizer.zero_grad()
        loss = criterion(model(words).view(-1, 2), tags.view(-1))
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", f"{loss.item():.4f}")
model.eval()
words, tags = collate(test)
with torch.no_grad():
    right = (model(words).argmax(-1) == tags)[tags != PAD]
print(f"RESULT accuracy {right.float().mean():.4f}")
