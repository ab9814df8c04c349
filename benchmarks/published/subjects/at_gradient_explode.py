import os

import torch
from pictures import load
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
x_train, x_test = x_train.reshape(-1, 784) / 255, x_test.reshape(-1, 784) / 255

model = nn.Sequential(
    nn.Linear(784, 256),
    nn.ReLU(),
    nn.Linear(256, 256),
    nn.ReLU(),
    nn.Linear(256, 256),
    nn.ReLU(),
    nn.Linear(256, 10),
)
for layer in model[::2]:
    nn.init.normal_(layer.weight, mean=0.0, std=1.0)
    nn.init.zeros_(layer.bias)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss()

for epoch in range(5):
    for idx in torch.randperm(len(x_train)).split(64):
        optimizer.zero_grad()
        loss = criterion(model(x_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
    print("epoch", epoch, "loss", loss.item(), "accuracy", accuracy)
print(f"RESULT accuracy {accuracy:.4f}")
