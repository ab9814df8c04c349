"""Is this heart at rest beating faster than 90 times a minute? One feature, two sigmoid layers - and it barely learns.

The same network did well on data around zero. `unstuck run examples/heart_rate.py` says what is different here.
"""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", "0")))

rates = torch.normal(92.0, 6.0, (800, 1), generator=torch.Generator().manual_seed(7)).round()
fast = (rates > 90).float()
train_x, test_x = rates[:600], rates[600:]
train_y, test_y = fast[:600], fast[600:]

model = nn.Sequential(
    nn.Linear(1, 8),
    nn.Sigmoid(),
    nn.Linear(8, 1),
    nn.Sigmoid(),
)
loss_fn = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)

for epoch in range(1500):
    loss = loss_fn(model(train_x), train_y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 250 == 0:
        print(f"epoch {epoch:4}: loss {loss.item():.4f}")

with torch.no_grad():
    accuracy = (model(test_x).round() == test_y).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
