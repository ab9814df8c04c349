import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from pictures import load
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(3000, 600))
mean, std = 0.1307, 0.3081
x_train, x_test = (x_train[:, None] / 255 - mean) / std, (x_test[:, None] / 255 - mean) / std
train_loader = DataLoader(TensorDataset(x_train, y_train), batch_size=30, shuffle=True)
test_loader = DataLoader(TensorDataset(x_test, y_test), batch_size=30)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc1 = nn.Linear(2304, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(self.conv2(x), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


def evaluate(model):
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            correct += model(data).argmax(1).eq(target).sum().item()
    return correct / len(x_test)


model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(8):
    model.train()
    for data, label in train_loader:
        loss = criterion(model(data), label)
        loss.backward()
        optimizer.step()
    accuracy = evaluate(model)
    print("epoch", epoch, "loss", loss.item(), "accuracy", accuracy)
print(f"RESULT accuracy {accuracy:.4f}")
