"""Transfer learning: a backbone trained on the digits 0..4 is frozen, in eval mode; a new head learns 5..9."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
data = load_digits()
X = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
y = torch.tensor(data.target)


def split(mask, shift):
    rows = mask.nonzero()[:, 0]
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    cut = int(0.8 * len(rows))
    return TensorDataset(X[rows[:cut]], y[rows[:cut]] - shift), (X[rows[cut:]], y[rows[cut:]] - shift)


def fit(model, params, dataset, epochs, keep_eval=None):
    optimizer = torch.optim.Adam(params, lr=3e-3)
    for epoch in range(epochs):
        model.train()
        if keep_eval is not None:
            keep_eval.eval()
        for xb, yb in DataLoader(dataset, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
        print(f"  epoch {epoch} loss {loss.item():.4f}")


def accuracy(model, test):
    model.eval()
    with torch.no_grad():
        return (model(test[0]).argmax(1) == test[1]).float().mean().item()


backbone = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
)
old_train, old_test = split(y < 5, 0)
new_train, new_test = split(y >= 5, 5)
first = nn.Sequential(backbone, nn.Linear(512, 5))
print("pretraining")
fit(first, first.parameters(), old_train, 4)
print("  old task", accuracy(first, old_test))

for p in backbone.parameters():
    p.requires_grad = False
model = nn.Sequential(backbone, nn.Linear(512, 5))
print("fine-tuning the head")
fit(model, model[1].parameters(), new_train, 8, keep_eval=backbone)
print(f"RESULT accuracy {accuracy(model, new_test):.4f}")
