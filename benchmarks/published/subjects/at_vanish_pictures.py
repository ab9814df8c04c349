import os
from itertools import pairwise

import torch
from pictures import load
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
x_train, x_test = x_train.reshape(-1, 784) / 255, x_test.reshape(-1, 784) / 255

units = [784, 128, 128, 128, 128, 128]
blocks = [nn.Sequential(nn.Linear(a, b), nn.Sigmoid()) for a, b in pairwise(units)]
model = nn.Sequential(*blocks, nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
criterion = nn.CrossEntropyLoss()

for epoch in range(5):
    total = 0.0
    for x, y in DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    with torch.no_grad():
        accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
    print(f"epoch {epoch} loss {total / len(x_train):.4f} accuracy {accuracy:.4f}")
print(f"RESULT accuracy {accuracy:.4f}")
