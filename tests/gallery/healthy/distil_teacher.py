"""Knowledge distillation: a frozen teacher in eval mode, a smaller student, soft targets plus hard labels."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

torch.manual_seed(int(os.environ.get("SEED", 0)))
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16 - 0.3, dtype=torch.float32), torch.tensor(y)
rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(8))
train, test = rows[:1400], rows[1400:]
TEMPERATURE, ALPHA = 3.0, 0.7


def epochs(n, model, loss_of, lr):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(n):
        model.train()
        for b in train[torch.randperm(len(train))].split(64):
            optimizer.zero_grad()
            loss = loss_of(x[b], y[b])
            loss.backward()
            optimizer.step()
        print("  epoch", epoch, "loss", round(loss.item(), 4))
    model.eval()


def accuracy(model):
    with torch.no_grad():
        return (model(x[test]).argmax(1) == y[test]).float().mean().item()


teacher = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
epochs(8, teacher, lambda a, b: F.cross_entropy(teacher(a), b), 3e-3)
print("teacher", accuracy(teacher))

student = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))


def distillation(inputs, labels):
    with torch.no_grad():
        soft = F.softmax(teacher(inputs) / TEMPERATURE, dim=1)
    logits = student(inputs)
    kl = F.kl_div(F.log_softmax(logits / TEMPERATURE, dim=1), soft, reduction="batchmean") * TEMPERATURE**2
    return ALPHA * kl + (1 - ALPHA) * F.cross_entropy(logits, labels)


epochs(15, student, distillation, 5e-3)
print(f"RESULT accuracy {accuracy(student):.4f}")
