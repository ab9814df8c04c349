"""Time-series forecasting: a plain nn.RNN predicts the next value of a noisy sum of sines from a window of 30."""

import os

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))

# --- series, scaled with the statistics of its first part only
rng = np.random.RandomState(8)
t = np.arange(1500)
series = 20 + 5 * np.sin(2 * np.pi * t / 25) + 2 * np.sin(2 * np.pi * t / 7) + 0.4 * rng.randn(len(t))
split = 1200
mu, sigma = series[:split].mean(), series[:split].std()
series = torch.tensor((series - mu) / sigma, dtype=torch.float32)
windows = series.unfold(0, 31, 1)
train, test = windows[: split - 31], windows[split:]


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(1, 24, batch_first=True)
        self.fc = nn.Linear(24, 1)

    def forward(self, window):
        states, _ = self.rnn(window.unsqueeze(-1))
        return self.fc(states[:, -1, :])


model = Forecaster()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
n_epochs = 20
for epoch in range(n_epochs):
    epoch_loss = 0.0
    shuffled = train[torch.randperm(len(train))]
    for batch in shuffled.split(32):
        inputs, targets = batch[:, :30], batch[:, 30:]
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(batch)
    print("epoch {:2d} mse {:.4f}".format(epoch, epoch_loss / len(train)))

model.eval()
with torch.no_grad():
    residual = model(test[:, :30]) - test[:, 30:]
r2 = 1 - residual.pow(2).mean() / test[:, 30].var()
print("RESULT r2 {:.4f}".format(r2.item()))
