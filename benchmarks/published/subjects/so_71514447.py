import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from pictures import load
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, _, _ = (torch.tensor(a) for a in load(3000, 600))
train_loader = DataLoader(TensorDataset(x_train[:, None] / 255, y_train), batch_size=64, shuffle=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc1 = nn.Linear(2304, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = F.max_pool2d(x, 2).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


def train_model(model, optimizer, loader, epochs, criterion):
    model.train()
    running_loss = 0
    correct = 0
    total = 0
    for _ in range(epochs):
        for x, y in loader:
            pred = model(x)
            loss = criterion(pred, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            total += y.size(0)
            correct += pred.argmax(1).eq(y).sum().item()
        train_loss = running_loss / len(loader)
        print(f"Train Loss: {train_loss:.3f} | Train Accuracy: {100.0 * correct / total:.3f}")
    return train_loss


net = Net()
last = train_model(net, torch.optim.SGD(net.parameters(), lr=0.03), train_loader, 6, nn.CrossEntropyLoss())
print(f"RESULT loss {last:.4f}")
