"""Mean and variance together with GaussianNLLLoss; the variance head goes through softplus."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F


class MeanVariance(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.mean = nn.Linear(hidden, 1)
        self.spread = nn.Linear(hidden, 1)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), F.softplus(self.spread(h)) + 1e-4


def truth(x):
    return torch.sin(2 * x[:, :1]) + 0.5 * x[:, 1:], 0.1 + 0.4 * torch.sigmoid(3 * x[:, 1:])


def main():
    torch.manual_seed(int(os.environ.get("SEED", 0)))
    x = torch.rand(2400, 2) * 4 - 2
    mean, sd = truth(x)
    y = mean + sd * torch.randn_like(mean)
    model, criterion = MeanVariance(), nn.GaussianNLLLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for epoch in range(30):
        for i in torch.randperm(2000).split(80):
            mu, var = model(x[i])
            loss = criterion(mu, y[i], var)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 6 == 0:
            print(f"epoch {epoch}: nll {loss.item():.3f}")
    with torch.no_grad():
        mu, var = model(x[2000:])
    fit = 1 - F.mse_loss(mu, mean[2000:]) / mean[2000:].var()
    print(f"sd error {(var.sqrt() - sd[2000:]).abs().mean():.3f}")
    print(f"RESULT r2 {fit.item():.4f}")


if __name__ == "__main__":
    main()
