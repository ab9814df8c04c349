import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = np.arange(-100, 100, 0.5)
y = x**4
x_all = torch.tensor(x, dtype=torch.float32).reshape(400, 1)
y_all = torch.tensor(y, dtype=torch.float32).reshape(400, 1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(1, 50)
        self.l2 = nn.Linear(50, 50)
        self.l3 = nn.Linear(50, 1)

    def forward(self, v):
        return self.l3(F.elu(self.l2(torch.sigmoid(self.l1(v)))))


net = Net()
optimizer = torch.optim.Adam(net.parameters())
for step in range(1000):
    loss = F.mse_loss(net(x_all), y_all)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(step, loss.item())
with torch.no_grad():
    mse = F.mse_loss(net(x_all), y_all)
print(f"RESULT r2 {(1 - mse / y_all.var(unbiased=False)).item():.4f}")
