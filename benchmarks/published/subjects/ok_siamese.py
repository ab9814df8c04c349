import random

import torch
import torch.nn as nn
from pictures import load
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(1)
random.seed(1)
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(2000, 500))


class Pairs(Dataset):
    def __init__(self, pictures, labels):
        self.data = pictures[:, None] / 255
        self.groups = [torch.where(labels == digit)[0].tolist() for digit in range(10)]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        first, other = random.sample(range(10), 2)
        same = index % 2 == 0
        a, b = random.choice(self.groups[first]), random.choice(self.groups[first if same else other])
        return self.data[a], self.data[b], torch.tensor(float(same))


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 5, stride=2), nn.BatchNorm2d(32), nn.ReLU(inplace=True), nn.Flatten(),
        )  # fmt: skip
        self.fc = nn.Sequential(nn.Linear(1024, 128), nn.ReLU(inplace=True), nn.Linear(128, 1), nn.Sigmoid())

    def forward(self, a, b):
        return self.fc(torch.cat((self.body(a), self.body(b)), 1))


model = SiameseNetwork()
criterion = nn.BCELoss()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.9)
for epoch in range(8):
    model.train()
    for a, b, same in DataLoader(Pairs(x_train, y_train), batch_size=64, shuffle=True):
        optimizer.zero_grad()
        loss = criterion(model(a, b).squeeze(), same)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        a, b, same = next(iter(DataLoader(Pairs(x_test, y_test), batch_size=500)))
        accuracy = ((model(a, b).squeeze() > 0.5) == same.bool()).float().mean().item()
    print(f"epoch {epoch} loss {loss.item():.4f} accuracy {accuracy:.4f}")
    scheduler.step()
print(f"RESULT accuracy {accuracy:.4f}")
