import os

import torch
from pictures import load
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(4000, 600))
x_train, x_test = x_train.flatten(1), x_test.flatten(1)
hidden = 50

model = nn.Sequential()
model.append(nn.Linear(784, 784))
model.append(nn.Linear(784, hidden))
model.append(nn.ReLU())
model.append(nn.Linear(hidden, 10))
model.append(nn.Sigmoid())
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True)

for epoch in range(3):
    right = 0
    for x, y in loader:
        out = model(x)
        loss = loss_fn(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right += (out.argmax(1) == y).sum().item()
    print(f"epoch {epoch + 1}: loss {loss.item():.4f}, accuracy {right / len(x_train):.4f}")
with torch.no_grad():
    accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
