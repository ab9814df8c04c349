"""One row at a time (batch size 1), plain SGD with a modest rate, the loss jumping from row to row."""

import os
import random

import torch
from sklearn.datasets import load_iris

seed = int(os.environ.get("SEED", 0))
torch.manual_seed(seed)
random.seed(seed)
iris = load_iris()
rows = [
    (torch.tensor(f, dtype=torch.float32), torch.tensor(t))
    for f, t in zip((iris.data - iris.data.mean(0)) / iris.data.std(0), iris.target)
]
random.Random(0).shuffle(rows)
train, test = rows[:110], rows[110:]

net = torch.nn.Sequential(torch.nn.Linear(4, 12), torch.nn.Tanh(), torch.nn.Linear(12, 3))
opt = torch.optim.SGD(net.parameters(), lr=0.02)
for epoch in range(15):
    random.shuffle(train)
    mean = 0
    for features, species in train:
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(features), species)
        loss.backward()
        opt.step()
        mean += loss.item() / len(train)
    print(f"epoch {epoch}: {mean:.3f}")
hits = sum(net(f).argmax().item() == s.item() for f, s in test)
print(f"RESULT accuracy {hits / len(test):.4f}")
