"""Multi-label tags: several sigmoids, BCEWithLogitsLoss with pos_weight, macro F1 on the test part."""

import os

import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, Y = make_multilabel_classification(
    2400, 25, n_classes=5, n_labels=2, length=60, allow_unlabeled=False, random_state=3
)
X = torch.tensor(X, dtype=torch.float32)
Y = torch.tensor(Y, dtype=torch.float32)
X = (X - X[:1900].mean(0)) / X[:1900].std(0)
pos_weight = (1 - Y[:1900].mean(0)) / Y[:1900].mean(0)

model = nn.Sequential(nn.Linear(25, 64), nn.LeakyReLU(0.1), nn.Dropout(0.1), nn.Linear(64, 5))
loss_fn = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(15):
    model.train()
    for idx in torch.randperm(1900).split(32):
        optimizer.zero_grad()
        loss = loss_fn(model(X[idx]), Y[idx])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        guess = model(X[1900:]) > 0
    print(epoch, "loss", round(loss.item(), 3), "macro f1", round(f1_score(Y[1900:], guess, average="macro"), 3))
print("RESULT f1", round(f1_score(Y[1900:], guess, average="macro"), 4))
