"""Circle, square or cross? Small grey pictures with pixels from 0 to 255, one hidden layer - and it does not learn.

Divide the pixels by 255, and the same program answers 9 of 10 right. `unstuck run examples/pictures.py` says what is
wrong here.
"""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", "0")))

SIDE = 16
BATCH_SIZE = 50
EPOCHS = 20
LEARNING_RATE = 0.05


def draw(count, generator):
    """(count, 1, SIDE, SIDE) pictures of one byte per pixel, and the kind of each."""
    kinds = torch.randint(3, (count,), generator=generator)
    x, y = (5 + 6 * torch.rand(count, 1, 1, generator=generator) for _ in "xy")
    size = 3 + 2 * torch.rand(count, 1, 1, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    across, down = (columns - x).abs(), (rows - y).abs()
    circle = across**2 + down**2 < size**2
    square = torch.maximum(across, down) < 0.85 * size
    cross = (torch.minimum(across, down) < 1) & (torch.maximum(across, down) < size)
    shapes = torch.stack((circle, square, cross))[kinds, torch.arange(count)]
    light = 90 + 100 * torch.rand(count, 1, 1, generator=generator)
    noise = 25 * torch.randn(count, SIDE, SIDE, generator=generator)
    return (40 + light * shapes + noise).clamp(0, 255).byte()[:, None], kinds


generator = torch.Generator().manual_seed(3)
train_x, train_y = draw(2000, generator)
test_x, test_y = draw(500, generator)

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(SIDE * SIDE, 64),
    nn.ReLU(),
    nn.Linear(64, 3),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)

for epoch in range(EPOCHS):
    total = 0.0
    for rows in torch.randperm(len(train_x)).split(BATCH_SIZE):
        loss = criterion(model(train_x[rows].float()), train_y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    print(f"epoch {epoch + 1}: training loss {total / len(train_x):.4f}")

with torch.no_grad():
    accuracy = (model(test_x.float()).argmax(1) == test_y).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
