import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
X = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
y = torch.tensor([[0.0], [0.0], [1.0], [1.0], [0.0], [0.0]])


class Xor(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2)
        self.b = nn.Linear(2, 3)
        self.c = nn.Linear(3, 1)

    def forward(self, x):
        x = torch.sigmoid(self.a(x))
        x = torch.sigmoid(self.b(x))
        return torch.softmax(self.c(x), dim=1)


model = Xor()
optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, nesterov=True)
loss_fn = nn.MSELoss()
for epoch in range(20):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    print("Epoch", epoch + 1, "loss", loss.item())

with torch.no_grad():
    print(model(torch.tensor([[1.0, 0.0]])), model(torch.tensor([[0.0, 0.0]])))
    accuracy = ((model(X) > 0.5).float() == y).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
