import os

import torch
from sklearn.datasets import make_blobs
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x, y = make_blobs(n_samples=1000, centers=3, n_features=2, cluster_std=2, random_state=2)
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
x_train, y_train, x_val, y_val = x[:700], y[:700], x[700:], y[700:]

model = nn.Sequential()
for i in range(4):
    model.append(nn.Linear(50 if i else 2, 50))
    model.append(nn.ReLU())
for m in model[::2]:
    nn.init.kaiming_uniform_(m.weight, nonlinearity="relu")
    nn.init.zeros_(m.bias)
model.append(nn.Linear(50, 3))
model.append(nn.ReLU())


def categorical_crossentropy(out, target):
    p = (out / (out.sum(1, keepdim=True) + 1e-7)).clamp(1e-7, 1 - 1e-7)
    return -torch.log(p.gather(1, target[:, None])).mean()


optimizer = torch.optim.Adam(model.parameters(), lr=0.0001)
for epoch in range(100):
    for idx in torch.randperm(700).split(64):
        loss = categorical_crossentropy(model(x_train[idx]), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(x_val).argmax(1) == y_val).float().mean().item()
    if epoch % 10 == 0:
        print("epoch", epoch, "loss", loss.item(), "val acc", accuracy)
print(f"RESULT accuracy {accuracy:.4f}")
