"""Which of two varieties is this grain of rice? Ten measured columns, a small network - and it does not learn.

Written the way such scripts are written, mistakes included. `unstuck run examples/rice.py` says what they are.
"""

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, random_split

torch.manual_seed(int(os.environ.get("SEED", "0")))
device = "cuda" if torch.cuda.is_available() else "cpu"

BATCH_SIZE = 8
EPOCHS = 6
HIDDEN = 25
LEARNING_RATE = 1e-3


class Rice(Dataset):
    def __init__(self, path):
        table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32)
        self.grains = torch.from_numpy(table[:, :-1])
        self.varieties = torch.from_numpy(table[:, -1])

    def __len__(self):
        return len(self.varieties)

    def __getitem__(self, index):
        return self.grains[index], self.varieties[index]


class Classifier(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.first = nn.Linear(columns, HIDDEN)
        self.last = nn.Linear(HIDDEN, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        return self.sigmoid(self.last(self.first(x)))


rice = Rice(Path(__file__).with_name("rice.csv"))
train_set, val_set, test_set = random_split(rice, [1120, 240, 240])
train_loader = DataLoader(train_set, batch_size=BATCH_SIZE, shuffle=True)
val_loader = DataLoader(val_set, batch_size=BATCH_SIZE)
test_loader = DataLoader(test_set, batch_size=BATCH_SIZE)

model = Classifier(rice.grains.shape[1]).to(device)
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

for epoch in range(EPOCHS):
    train_loss, train_correct, val_loss, val_correct = 0.0, 0, 0.0, 0

    for grains, varieties in train_loader:
        grains.to(device)
        varieties.to(device)
        prediction = model(grains).squeeze(1)
        loss = criterion(prediction, varieties)
        train_loss += loss.item()
        train_correct += (prediction.round() == varieties).sum().item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with torch.no_grad():
        for grains, varieties in val_loader:
            prediction = model(grains).squeeze(1)
            loss = criterion(prediction, varieties)
            train_loss += loss.item()
            val_correct += (prediction.round() == varieties).sum().item()

    print(
        f"epoch {epoch + 1}: "
        f"train loss {train_loss / len(train_loader):.4f}, accuracy {100 * train_correct / len(train_set):.2f} %, "
        f"validation loss {val_loss / len(val_loader):.4f}, accuracy {100 * val_correct / len(val_set):.2f} %"
    )

with torch.no_grad():
    correct = sum((model(grains).squeeze(1).round() == varieties).sum().item() for grains, varieties in test_loader)
print(f"RESULT accuracy {correct / len(test_set):.4f}")
