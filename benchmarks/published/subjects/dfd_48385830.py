import os

import torch
from pictures import load
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
x_train, x_test = x_train.reshape(-1, 784) / 255, x_test.reshape(-1, 784) / 255
targets = nn.functional.one_hot(y_train, 10).float()

model = nn.Sequential(
    nn.Linear(784, 30),
    nn.Linear(30, 10),
)
for p in model.parameters():
    nn.init.normal_(p, std=1)
optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
criterion = nn.MSELoss()

for epoch in range(4):
    total = 0.0
    for batch in torch.randperm(len(x_train)).split(10):
        loss = criterion(model(x_train[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
    print("epoch", epoch, "loss", total / 300, "accuracy", accuracy)
print(f"RESULT accuracy {accuracy:.4f}")
