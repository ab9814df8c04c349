"""Label smoothing: the training loss has a floor well above zero while the accuracy is high."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

torch.manual_seed(int(os.environ.get("SEED", 0)))
X_train, X_test, y_train, y_test = train_test_split(*load_digits(return_X_y=True), test_size=0.2, random_state=3)
mm = MinMaxScaler((-1, 1)).fit(X_train)
X_train, X_test = (torch.as_tensor(mm.transform(a), dtype=torch.float32) for a in (X_train, X_test))
y_train, y_test = torch.as_tensor(y_train), torch.as_tensor(y_test)

model = nn.Sequential(
    nn.Unflatten(1, (1, 8, 8)),
    nn.Conv2d(1, 24, 3),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(24 * 36, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
criterion = nn.CrossEntropyLoss(label_smoothing=0.2)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(10):
    for idx in torch.randperm(len(X_train)).split(32):
        optimizer.zero_grad()
        loss = criterion(model(X_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: smoothed loss {loss.item():.3f}")
with torch.no_grad():
    print(f"RESULT accuracy {(model(X_test).argmax(1) == y_test).float().mean():.4f}")
