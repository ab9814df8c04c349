"""bfloat16 autocast on the CPU around the forward pass, the loss outside of it; weights stay float32."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.manual_seed(int(os.environ.get("SEED", 0)))
x, y = (torch.tensor(a) for a in load_digits(return_X_y=True))
x = (x.float() - 8) / 8
g = torch.Generator().manual_seed(5)
order = torch.randperm(len(x), generator=g)
train, test = order[:1400], order[1400:]

model = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(12):
    for batch in train[torch.randperm(len(train))].split(32):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(x[batch])
        loss = nn.functional.cross_entropy(logits.float(), y[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch:2d} | loss {loss.item():.4f} | logits {logits.dtype}")

with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
    accuracy = (model(x[test]).argmax(1) == y[test]).float().mean()
print(f"RESULT accuracy {accuracy.item():.4f}")
