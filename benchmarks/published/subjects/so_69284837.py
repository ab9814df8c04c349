import os

import torch
from pictures import load
from torch import nn
from torch.utils.data import DataLoader

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, _, x_test, _ = (torch.tensor(a) for a in load(4000, 600))
x_train, x_test = x_train / x_train.max(), x_test / x_test.max()

encoder = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 256),
    nn.Sigmoid(),
    nn.Linear(256, 64),
    nn.Sigmoid(),
    nn.Linear(64, 32),
)
decoder = nn.Sequential(
    nn.Linear(32, 64),
    nn.Sigmoid(),
    nn.Linear(64, 256),
    nn.Sigmoid(),
    nn.Linear(256, 784),
    nn.Sigmoid(),
    nn.Unflatten(1, (28, 28)),
)
autoencoder = nn.Sequential(encoder, decoder)
loss_fn = nn.BCELoss()
optimizer = torch.optim.Adam(autoencoder.parameters(), lr=3e-4, weight_decay=5e-5)

for epoch in range(6):
    for x in DataLoader(x_train, batch_size=64, shuffle=True):
        loss = loss_fn(autoencoder(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", loss.item())

with torch.no_grad():
    error = (autoencoder(x_test) - x_test).square().mean()
print(f"RESULT r2 {(1 - error / (x_test - x_test.mean(0)).square().mean()).item():.4f}")
