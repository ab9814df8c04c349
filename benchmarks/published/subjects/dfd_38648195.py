import os

import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, Y = make_multilabel_classification(n_samples=4000, n_features=20, n_classes=3, random_state=0)
X, Y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
x_train, x_test, y_train, y_test = train_test_split(X, Y, test_size=0.2, random_state=42)

model = nn.Sequential(
    nn.Linear(20, 20),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(20, 20),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(20, 3),
    nn.Softmax(dim=1),
)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=30, shuffle=True)

for epoch in range(20):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        accuracy = ((model(x_test) > 0.5) == y_test.bool()).float().mean().item()
    print("epoch", epoch, "loss", total / len(loader), "val acc", accuracy)
print(f"RESULT accuracy {accuracy:.4f}")
