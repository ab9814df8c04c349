"""torch.compile with the eager backend: the graph is captured, nothing is generated."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import make_moons

torch.manual_seed(int(os.environ.get("SEED", 0)))
points, moon = make_moons(1500, noise=0.15, random_state=0)
points, moon = torch.tensor(points, dtype=torch.float32), torch.tensor(moon)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 64)
        self.b = nn.Linear(64, 64)
        self.c = nn.Linear(64, 2)

    def forward(self, x):
        return self.c(F.silu(self.b(F.silu(self.a(x)))))


model = torch.compile(MLP(), backend="eager")
opt = torch.optim.AdamW(model.parameters(), lr=5e-3)
for epoch in range(20):
    order = torch.randperm(1200)
    for k in range(0, 1200, 60):
        idx = order[k : k + 60]
        loss = F.cross_entropy(model(points[idx]), moon[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 5 == 0:
        print(f"epoch {epoch} loss {loss.item():.4f}")
with torch.no_grad():
    accuracy = (model(points[1200:]).argmax(1) == moon[1200:]).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
