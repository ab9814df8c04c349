"""A variational autoencoder: summed reconstruction plus KL, so the loss is a large number and that is right."""

import os

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 100)
        self.fc21 = nn.Linear(100, 6)
        self.fc22 = nn.Linear(100, 6)
        self.fc3 = nn.Linear(6, 100)
        self.fc4 = nn.Linear(100, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(logits, x, mu, logvar):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (reconstruction + divergence) / len(x)


data = torch.tensor(load_digits().data / 16, dtype=torch.float32)
data = data[torch.randperm(len(data), generator=torch.Generator().manual_seed(0))]
train, test = data[:1500], data[1500:]
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(1, 26):
    total = 0
    for x in train[torch.randperm(len(train))].split(50):
        optimizer.zero_grad()
        logits, mu, logvar = model(x)
        loss = loss_function(logits, x, mu, logvar)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"====> Epoch: {epoch} Average loss: {total / 30:.3f}")
model.eval()
with torch.no_grad():
    mu, _ = model.encode(test)
    rebuilt = model.decode(mu).sigmoid()
r2 = 1 - (rebuilt - test).pow(2).sum() / (test - train.mean(0)).pow(2).sum()
print(f"RESULT r2 {r2.item():.4f}")
