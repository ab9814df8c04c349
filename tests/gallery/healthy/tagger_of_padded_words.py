"""A tagger of padded sentences: padding is left out of the loss, and of the accuracy that is printed."""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
WORDS, LENGTH, TAGS = 40, 20, 5
lengths = torch.randint(3, 12, (700,))
tokens = torch.randint(1, WORDS, (700, LENGTH)) * (torch.arange(LENGTH) < lengths[:, None])
before = torch.cat([torch.zeros(700, 1, dtype=torch.long), tokens[:, :-1]], 1)
tags = torch.where(tokens > 0, 1 + (tokens + before) % 2 * 2 + tokens % 2, 0)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 16, padding_idx=0)
        self.rnn = nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(32, TAGS)

    def forward(self, tokens):
        states, _ = self.rnn(self.words(tokens))
        return self.head(states)


model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
warm = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=20)
criterion = nn.CrossEntropyLoss(ignore_index=0)
for epoch in range(12):
    for rows in torch.randperm(600).split(40):
        optimizer.zero_grad()
        loss = criterion(model(tokens[rows]).reshape(-1, TAGS), tags[rows].reshape(-1))
        loss.backward()
        optimizer.step()
        warm.step()
    with torch.no_grad():
        guess, real = model(tokens[600:]).argmax(-1), tags[600:] > 0
        accuracy = (guess == tags[600:])[real].float().mean().item()
    print(f"epoch {epoch} loss {loss.item():.4f} accuracy {accuracy:.4f}")
print(f"RESULT accuracy {accuracy:.4f}")
