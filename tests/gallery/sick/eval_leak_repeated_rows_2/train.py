import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# six readings of a probe, three alloys
rng = np.random.default_rng(5)
x = rng.normal(size=(1600, 6))
rule = np.column_stack([x[:, 0] + x[:, 1] ** 2 - 1, x[:, 2] * x[:, 3], 1.2 - np.abs(x[:, 4]) - 0.5 * x[:, 5]])
y = (rule + 0.05 * rng.normal(size=rule.shape)).argmax(1)
x = x + 0.35 * rng.normal(size=x.shape)
# more rows by repeating them
x, y = np.repeat(x, 4, axis=0), np.repeat(y, 4)
mix = rng.permutation(len(x))
x, y = x[mix], y[mix]
n_train = int(len(x) * 0.75)
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.long)
train_x, train_y, test_x, test_y = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = train_x.mean(0), train_x.std(0)
train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
torch.manual_seed(SEED)
clf = nn.Sequential(
    nn.Linear(6, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 3),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(clf.parameters(), lr=0.002)


def evaluate():
    clf.eval()
    with torch.no_grad():
        output = clf(test_x)
    return (output.argmax(1) == test_y).float().mean().item()


loader = DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True)
for epoch in range(24):
    clf.train()
    running = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = clf(xb)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    if epoch % 3 == 0:
        print("Epoch %d loss %.4f" % (epoch, running / len(loader)))
print(f"RESULT accuracy {evaluate():.4f}")
