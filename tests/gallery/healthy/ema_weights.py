"""A moving average of the weights (AveragedModel): the average, never trained by itself, is what is judged."""

import os

import torch
from sklearn.datasets import make_classification
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = make_classification(2500, 20, n_informative=10, n_classes=4, class_sep=1.6, random_state=11)
X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
X = (X - X[:2000].mean(0)) / X[:2000].std(0)

model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
loss_fn = nn.CrossEntropyLoss()
for epoch in range(15):
    model.train()
    for i in torch.randperm(2000).split(50):
        optimizer.zero_grad()
        loss_fn(model(X[i]), y[i]).backward()
        optimizer.step()
        ema.update_parameters(model)
    ema.eval()
    with torch.no_grad():
        accuracy = (ema(X[2000:]).argmax(1) == y[2000:]).float().mean().item()
    print(f"epoch {epoch:02d} accuracy of the average {accuracy:.3f}")
print(f"RESULT accuracy {accuracy:.4f}")
