import os

import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, Y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, Y, test_size=0.3, random_state=7, stratify=Y)
X_train, X_test = torch.tensor(X_train, dtype=torch.float32), torch.tensor(X_test, dtype=torch.float32)
y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)


def baseline_model():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.Sigmoid())
    for i in (0, 2):
        nn.init.normal_(net[i].weight, std=0.05)
        nn.init.zeros_(net[i].bias)
    return net


model = baseline_model()
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
for epoch in range(20):
    for idx in torch.randperm(len(X_train)).split(5):
        optimizer.zero_grad()
        loss = loss_fn(model(X_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
accuracy = (model(X_test).argmax(1) == y_test).float().mean().item()
print(f"Accuracy: {100 * accuracy:.2f}%")
print(f"RESULT accuracy {accuracy:.4f}")
