"""Prints accuracies of many kinds, each right in its own way: running, smoothed, best so far, of an average, of two."""

import copy
import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
gen = torch.Generator().manual_seed(8)
x = torch.randn(1500, 8, generator=gen)
y = (x @ torch.randn(8, 4, generator=gen) + 0.4 * torch.randn(1500, 4, generator=gen)).argmax(1)
x_train, y_train, x_val, y_val = x[:1100], y[:1100], x[1100:], y[1100:]


def network():
    return nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Dropout(0.5), nn.Linear(48, 4))


model, other = network(), network()
average = copy.deepcopy(model)
optimizer = torch.optim.Adam([*model.parameters(), *other.parameters()], lr=0.004)
criterion = nn.CrossEntropyLoss()
best, smooth = 0.0, 0.0
for epoch in range(12):
    model.train(), other.train()
    right = 0
    for rows in torch.randperm(1100).split(44):
        out, second = model(x_train[rows]), other(x_train[rows])
        loss = criterion(out, y_train[rows]) + criterion(second, y_train[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right += (out.argmax(1) == y_train[rows]).sum().item()
        with torch.no_grad():
            for old, new in zip(average.parameters(), model.parameters()):
                old.lerp_(new, 0.05)
    model.eval(), other.eval(), average.eval()
    with torch.no_grad():
        hits = (model(x_val).argmax(1) == y_val).float()
        both = ((model(x_val).softmax(1) + other(x_val).softmax(1)).argmax(1) == y_val).float().mean().item()
        slow = (average(x_val).argmax(1) == y_val).float().mean().item()
        two = (model(x_val).topk(2, 1).indices == y_val.unsqueeze(1)).any(1).float().mean().item()
    acc = hits.mean().item()
    best, smooth = max(best, acc), 0.9 * smooth + 0.1 * acc
    classes = [hits[y_val == k].mean().item() for k in range(4)]
    print(f"epoch {epoch} acc {right / 1100:.3f} val_acc {acc:.3f} best acc {best:.3f} smoothed acc {smooth:.3f}")
    print(f"  ema acc {slow:.3f} | acc of both {both:.3f} | top-2 acc {two:.3f} | per class acc {classes}")
    print("  worst class accuracy", min(classes), "error", 1 - acc)
print(f"RESULT accuracy {both:.4f}")
