import os

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
X_train = torch.cat([torch.ones(2000, 128), torch.zeros(2000, 128)])
Y_train = torch.cat([torch.ones(2000), torch.zeros(2000)])
X_test = torch.cat([torch.ones(100, 128), torch.zeros(100, 128)])
Y_test = torch.cat([torch.ones(100), torch.zeros(100)])

model = nn.Sequential(
    nn.Linear(128, 50),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(50, 50),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(50, 1),
    nn.Softmax(dim=-1),
)
criterion = nn.BCELoss()
rms = torch.optim.RMSprop(model.parameters(), lr=0.001)
batches = DataLoader(TensorDataset(X_train, Y_train), batch_size=32, shuffle=True)

for epoch in range(3):
    model.train()
    for xb, yb in batches:
        rms.zero_grad()
        loss = criterion(model(xb).squeeze(1), yb)
        loss.backward()
        rms.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(X_test).squeeze(1).round() == Y_test).float().mean().item()
    print(f"epoch {epoch} loss {loss.item():.3f} val_acc {accuracy:.3f}")
print(f"RESULT accuracy {accuracy:.4f}")
