"""One trunk and two heads (a class and a number), two losses added with weights that are learned along."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.kind = nn.Linear(64, 3)
        self.size = nn.Linear(64, 1)
        self.log_var = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.kind(h), self.size(h).squeeze(-1)

    def loss(self, x, kind, size):
        logits, guess = self(x)
        losses = torch.stack([F.cross_entropy(logits, kind), F.mse_loss(guess, size)])
        return (torch.exp(-self.log_var) * losses + self.log_var).sum(), losses.detach()


x = torch.randn(2600, 6)
kind = torch.stack([x[:, 0] + x[:, 1], x[:, 1] * x[:, 2], 1 - x[:, 3].abs()], 1).argmax(1)
size = torch.tanh(x[:, 0] * x[:, 4]) + 0.5 * x[:, 5]
model = MultiTask()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for epoch in range(20):
    for idx in torch.randperm(2000).split(50):
        loss, parts = model.loss(x[idx], kind[idx], size[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 4 == 0:
        print(f"epoch {epoch} total {loss.item():+.3f} class {parts[0]:.3f} number {parts[1]:.3f}")
with torch.no_grad():
    logits, guess = model(x[2000:])
print(f"class accuracy {(logits.argmax(1) == kind[2000:]).float().mean():.3f}")
print(f"RESULT r2 {1 - F.mse_loss(guess, size[2000:]) / size[2000:].var():.4f}")
