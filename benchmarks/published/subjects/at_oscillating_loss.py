import os

import torch
from sklearn.datasets import make_blobs
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x, y = make_blobs(n_samples=1000, centers=3, n_features=2, cluster_std=2, random_state=2)
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
train, val = TensorDataset(x[:700], y[:700]), (x[700:], y[700:])

model = nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 3))
nn.init.kaiming_uniform_(model[0].weight, nonlinearity="relu")
nn.init.xavier_uniform_(model[2].weight)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
criterion = nn.CrossEntropyLoss()

for epoch in range(10):
    total, right = 0.0, 0
    for xb, yb in DataLoader(train, batch_size=1, shuffle=True):
        optimizer.zero_grad()
        out = model(xb)
        loss = criterion(out, yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
        right += (out.argmax(1) == yb).sum().item()
    with torch.no_grad():
        accuracy = (model(val[0]).argmax(1) == val[1]).float().mean().item()
    print(f"epoch {epoch} loss {total / 700:.3f} acc {right / 700:.3f} val {accuracy:.3f}")
print(f"RESULT accuracy {accuracy:.4f}")
