"""A GRU over packed sentences of unequal length: does the word 1 come before the word 2?"""

import os
import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
VOCAB = 20


def sentence(rng):
    words = [rng.randint(3, VOCAB - 1) for _ in range(rng.randint(4, 14))]
    a, b = sorted(rng.sample(range(len(words)), 2))
    first = rng.random() < 0.5
    words[a], words[b] = (1, 2) if first else (2, 1)
    return words, int(first)


def collate(batch):
    batch.sort(key=lambda item: len(item[0]), reverse=True)
    lengths = torch.tensor([len(w) for w, _ in batch])
    words = pad_sequence([torch.tensor(w) for w, _ in batch])
    return words, lengths, torch.tensor([label for _, label in batch])


class Reader(nn.Module):
    def __init__(self, dim=16, hidden=32):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim, padding_idx=0)
        self.gru = nn.GRU(dim, hidden)
        self.out = nn.Linear(hidden, 2)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embed(words), lengths)
        _, hidden = self.gru(packed)
        return self.out(hidden[-1])


rng = random.Random(5)
train_set = [sentence(rng) for _ in range(2500)]
test_set = [sentence(rng) for _ in range(500)]
torch.manual_seed(SEED)
loader = DataLoader(train_set, batch_size=50, shuffle=True, collate_fn=collate)
reader = Reader()
optimiser = torch.optim.Adam(reader.parameters(), lr=1e-2)
for epoch in range(6):
    total = 0.0
    for words, lengths, labels in loader:
        loss = nn.functional.cross_entropy(reader(words, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item()
    print("epoch %d: %.4f" % (epoch, total / len(loader)))

reader.eval()
words, lengths, labels = collate(test_set)
with torch.no_grad():
    predicted = reader(words, lengths).argmax(1)
print("RESULT accuracy %.4f" % (predicted == labels).float().mean().item())
