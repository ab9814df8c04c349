"""An nn.Sequential on standardised digits: SGD with momentum, batches cut from a permutation."""

import os

import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
digits = load_digits()
order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(1))
x = torch.from_numpy(digits.data).float()[order]
y = torch.from_numpy(digits.target).long()[order]
mean, std = x[:1300].mean(0), x[:1300].std(0) + 0.1
x = (x - mean) / std
xt, yt, xv, yv = x[:1300], y[:1300], x[1300:], y[1300:]

net = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
criterion = nn.CrossEntropyLoss()

for epoch in range(20):
    running = 0.0
    perm = torch.randperm(len(xt))
    for i in range(0, len(xt), 50):
        idx = perm[i : i + 50]
        opt.zero_grad()
        loss = criterion(net(xt[idx]), yt[idx])
        loss.backward()
        opt.step()
        running += loss.item() * len(idx)
    print(epoch, running / len(xt))

with torch.no_grad():
    acc = (net(xv).argmax(dim=1) == yv).float().mean()
print("RESULT accuracy", round(acc.item(), 4))
