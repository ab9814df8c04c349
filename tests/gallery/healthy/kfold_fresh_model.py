"""Five-fold cross-validation: model and optimizer are made anew in every fold, and the scaler is fitted there too."""

import os

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = load_breast_cancer(return_X_y=True)


def reset():
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))


scores = []
for fold, (train_ids, test_ids) in enumerate(StratifiedKFold(5, shuffle=True, random_state=42).split(X, y)):
    print(f"FOLD {fold}")
    scaler = StandardScaler().fit(X[train_ids])
    dataset = TensorDataset(
        torch.tensor(scaler.transform(X), dtype=torch.float32), torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    )
    trainloader = DataLoader(Subset(dataset, train_ids), batch_size=32, shuffle=True)
    testloader = DataLoader(Subset(dataset, test_ids), batch_size=200)
    network = reset()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    loss_function = nn.BCEWithLogitsLoss()
    for epoch in range(8):
        network.train()
        current_loss = 0.0
        for inputs, targets in trainloader:
            optimizer.zero_grad()
            loss = loss_function(network(inputs), targets)
            loss.backward()
            optimizer.step()
            current_loss += loss.item()
    print("  last epoch's loss: %.3f" % (current_loss / len(trainloader)))
    network.eval()
    with torch.no_grad():
        hits = [((network(a) > 0) == (b > 0.5)).float().mean().item() for a, b in testloader]
    scores.append(np.mean(hits))
    print("  accuracy: %.3f" % scores[-1])
print("RESULT accuracy %.4f" % np.mean(scores))
