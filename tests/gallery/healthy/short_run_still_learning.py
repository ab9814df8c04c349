"""Only three epochs of a plain conv net with SGD: far from finished, and learning all the while."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(int(os.environ.get("SEED", 0)))
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
dataset = TensorDataset((images - 0.3) / 0.37, torch.tensor(digits.target))
train_set, test_set = random_split(dataset, [1437, 360], generator=torch.Generator().manual_seed(0))
model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.5)
criterion = nn.CrossEntropyLoss()
for epoch in range(3):
    model.train()
    for i, (inputs, labels) in enumerate(DataLoader(train_set, batch_size=16, shuffle=True)):
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if i % 30 == 0:
            print(f"[{epoch + 1}, {i:3d}] loss: {loss.item():.3f}")
model.eval()
with torch.no_grad():
    inputs, labels = next(iter(DataLoader(test_set, batch_size=360)))
    print(f"RESULT accuracy {(model(inputs).argmax(1) == labels).float().mean():.4f}")
