"""Topic classification with nn.EmbeddingBag and offsets, SGD with a large rate as is usual for averaged embeddings."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

seed = int(os.environ.get("SEED", 0))
VOCABULARY, TOPICS = 400, 4


def documents(n, rng):
    themes = np.random.default_rng(0).dirichlet(np.full(VOCABULARY, 0.15), TOPICS)
    background = np.full(VOCABULARY, 1 / VOCABULARY)
    for _ in range(n):
        topic = int(rng.integers(TOPICS))
        mixture = 0.4 * themes[topic] + 0.6 * background
        yield topic, torch.from_numpy(rng.choice(VOCABULARY, rng.integers(12, 40), p=mixture))


def collate_batch(batch):
    labels = torch.tensor([label for label, _ in batch])
    lengths = [0] + [len(text) for _, text in batch]
    return labels, torch.cat([text for _, text in batch]), torch.tensor(lengths[:-1]).cumsum(0)


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        self.embedding.weight.data.uniform_(-0.5, 0.5)
        self.fc.weight.data.uniform_(-0.5, 0.5)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


def evaluate(dataloader, model):
    model.eval()
    hits, count = 0, 0
    with torch.no_grad():
        for label, text, offsets in dataloader:
            hits += (model(text, offsets).argmax(1) == label).sum().item()
            count += label.size(0)
    return hits / count


torch.manual_seed(seed)
train_dl = DataLoader(
    list(documents(2000, np.random.default_rng(1))), batch_size=16, shuffle=True, collate_fn=collate_batch
)
test_dl = DataLoader(list(documents(500, np.random.default_rng(2))), batch_size=64, collate_fn=collate_batch)
model = TextClassificationModel(VOCABULARY, 24, TOPICS)
optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5, gamma=0.3)
for epoch in range(1, 9):
    model.train()
    for label, text, offsets in train_dl:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(text, offsets), label)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    scheduler.step()
    print("| end of epoch {:3d} | train accuracy {:8.3f}".format(epoch, evaluate(train_dl, model)))
print("RESULT accuracy {:.4f}".format(evaluate(test_dl, model)))
