"""Echo the input of three steps ago with an orthogonal RNN; the gradient norm is clipped at every step."""

import os

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(int(os.environ.get("SEED", 0)))
DELAY, SYMBOLS, LENGTH = 3, 5, 20


def sequences(n):
    s = torch.randint(0, SYMBOLS, (n, LENGTH))
    return nn.functional.one_hot(s, SYMBOLS).float(), s.roll(DELAY, 1)


class Echo(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(SYMBOLS, 64, batch_first=True)
        nn.init.orthogonal_(self.rnn.weight_hh_l0)
        self.read = nn.Linear(64, SYMBOLS)

    def forward(self, x):
        return self.read(self.rnn(x)[0])


model = Echo()
optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
for step in range(400):
    x, target = sequences(32)
    logits = model(x)[:, DELAY:]
    loss = nn.functional.cross_entropy(logits.reshape(-1, SYMBOLS), target[:, DELAY:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    norm = clip_grad_norm_(model.parameters(), max_norm=0.5)
    optimizer.step()
    if step % 50 == 0:
        print(f"{step} loss {loss.item():.3f} norm {norm:.2f}")

x, target = sequences(300)
with torch.no_grad():
    right = model(x)[:, DELAY:].argmax(-1) == target[:, DELAY:]
print(f"RESULT accuracy {right.float().mean():.4f}")
