import os

import torch
from pictures import load
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
x_train, x_test = x_train.reshape(-1, 784) / 255, x_test.reshape(-1, 784) / 255


class Deep(nn.Module):
    def __init__(self, depth=34, units=128):
        super().__init__()
        self.first = nn.Linear(784, units)
        self.hidden = nn.ModuleList(nn.Linear(units, units) for _ in range(depth - 1))
        self.last = nn.Linear(units, 10)
        for p in self.parameters():
            nn.init.xavier_uniform_(p) if p.dim() > 1 else nn.init.zeros_(p)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.last(x)


model = Deep()
optimizer = torch.optim.Adam(model.parameters())
criterion = nn.CrossEntropyLoss()
for epoch in range(4):
    for x, y in DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
    print("epoch", epoch, "loss", loss.item(), "val accuracy", accuracy)
print(f"RESULT accuracy {accuracy:.4f}")
