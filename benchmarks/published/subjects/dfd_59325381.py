import os

import torch
from pictures import load
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
x_train, y_train = x_train / 255, y_train / 255
x_train, x_test = x_train.unsqueeze(1), x_test.unsqueeze(1)
y_train = y_train.long()

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 16, 3, padding=1),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(784, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True)

for epoch in range(3):
    right = 0
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        loss = criterion(out, y)
        loss.backward()
        optimizer.step()
        right += (out.argmax(1) == y).sum().item()
    print("epoch", epoch, "loss", loss.item(), "train accuracy", right / len(x_train))
with torch.no_grad():
    accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
