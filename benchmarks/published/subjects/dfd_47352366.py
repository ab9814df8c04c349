import os

import torch
from pictures import load
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
x_train, x_test = x_train[:, None] / 255, x_test[:, None] / 255

model = nn.Sequential(
    nn.Conv2d(1, 8, 5, padding=2),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(8, 16, 5, padding=2),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(784, 128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
    nn.ReLU(),
)


def categorical_crossentropy(out, target):
    p = out / (out.sum(1, keepdim=True) + 1e-7)
    return -torch.log(p.clamp(1e-7, 1 - 1e-7))[range(len(out)), target].mean()


optimizer = torch.optim.Adam(model.parameters())
for i in range(300):
    batch = torch.randint(len(x_train), (50,))
    loss = categorical_crossentropy(model(x_train[batch]), y_train[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 50 == 0:
        accuracy = (model(x_train[batch]).argmax(1) == y_train[batch]).float().mean().item()
        print("step", i, ":", loss.item(), accuracy)
model.eval()
with torch.no_grad():
    print(f"RESULT accuracy {(model(x_test).argmax(1) == y_test).float().mean().item():.4f}")
