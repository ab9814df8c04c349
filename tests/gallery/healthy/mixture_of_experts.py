"""A softly gated mixture of four small experts with a load-balancing term beside the main loss."""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))


class Expert(nn.Module):
    def __init__(self, d_in, hidden=16):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d_in, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x):
        return self.net(x)


class Mixture(nn.Module):
    def __init__(self, d_in, n_experts=4):
        super().__init__()
        self.gate = nn.Linear(d_in, n_experts)
        self.experts = nn.ModuleList([Expert(d_in) for _ in range(n_experts)])

    def forward(self, x):
        gates = self.gate(x).softmax(dim=-1)
        outputs = torch.cat([e(x) for e in self.experts], dim=-1)
        return (gates * outputs).sum(-1), gates


x = torch.randn(2000, 4)
region = (x[:, 0] > 0).long() * 2 + (x[:, 1] > 0).long()
slopes = torch.tensor([[2.0, -1.0], [-1.0, 2.0], [1.0, 1.0], [-2.0, -2.0]])
y = (slopes[region] * x[:, 2:]).sum(1) / 2
model = Mixture(4)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(30):
    for idx in torch.randperm(1600).split(64):
        out, gates = model(x[idx])
        balance = gates.mean(0).pow(2).sum() * 4 - 1
        loss = nn.functional.mse_loss(out, y[idx]) + 0.01 * balance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 5 == 0:
        print(f"epoch {epoch} loss {loss.item():.4f}")
with torch.no_grad():
    out, gates = model(x[1600:])
print("mean gates", [round(v, 2) for v in gates.mean(0).tolist()])
print(f"RESULT r2 {1 - nn.functional.mse_loss(out, y[1600:]) / y[1600:].var():.4f}")
