import os

import torch
from sklearn.datasets import make_circles
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x, y = make_circles(n_samples=1000, noise=0.1, random_state=1)
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
x_train, y_train, x_val, y_val = x[:700], y[:700], x[700:], y[700:]

layers = []
width = 2
for _ in range(8):
    layers += [nn.Linear(width, 5), nn.Sigmoid()]
    width = 5
model = nn.Sequential(*layers, nn.Linear(5, 1), nn.Sigmoid())
for m in model:
    if isinstance(m, nn.Linear):
        nn.init.kaiming_uniform_(m.weight, nonlinearity="relu")
        nn.init.zeros_(m.bias)
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

for epoch in range(150):
    for idx in torch.randperm(700).split(128):
        loss = criterion(model(x_train[idx]).squeeze(1), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        print("epoch", epoch, "loss", loss.item())
with torch.no_grad():
    accuracy = ((model(x_val).squeeze(1) > 0.5) == y_val.bool()).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
