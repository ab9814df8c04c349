import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
y = torch.tensor([[0.0], [1.0], [0.0], [1.0]])

model = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Sigmoid())
for layer in (model[0], model[2]):
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
criterion = nn.L1Loss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.11, nesterov=True)

for epoch in range(1000):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 100 == 0:
        print(epoch, loss.item())
prediction = model(x).detach()
print(prediction)
print(f"RESULT accuracy {(prediction.round() == y).float().mean().item():.4f}")
