"""Two parameter groups (no decay on biases and norms) and ReduceLROnPlateau on a validation part."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import make_regression

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = make_regression(1500, 15, n_informative=8, noise=5.0, random_state=8)
X, y = torch.tensor(X).float(), torch.tensor(y).float()
y = torch.sinh((y - y.mean()) / y.std() * 0.8)
y = (y - y[:1000].mean()) / y[:1000].std()

model = nn.Sequential(
    nn.Linear(15, 64), nn.LayerNorm(64), nn.SiLU(), nn.Linear(64, 64), nn.LayerNorm(64), nn.SiLU(), nn.Linear(64, 1)
)
decay = [p for p in model.parameters() if p.ndim > 1]
rest = [p for p in model.parameters() if p.ndim <= 1]
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=2e-3)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=2)


def mse(rows):
    return nn.functional.mse_loss(model(X[rows]).squeeze(1), y[rows])


valid, test = torch.arange(1000, 1250), torch.arange(1250, 1500)
for epoch in range(15):
    model.train()
    for rows in torch.randperm(1000).split(16):
        optimizer.zero_grad(set_to_none=True)
        loss = mse(rows)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        score = mse(valid).item()
    plateau.step(score)
    print(f"epoch {epoch} valid {score:.4f} lr {optimizer.param_groups[0]['lr']:.1e}")
with torch.no_grad():
    print(f"RESULT r2 {1 - (mse(test) / y[test].var()).item():.4f}")
