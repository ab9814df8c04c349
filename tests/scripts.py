"""Small training scripts in several styles, and how the tests of the remedies run them."""

from __future__ import annotations

import ast
import contextlib
import io
from typing import Any

from unstuck.diagnosis.model import Site
from unstuck.source.text import Sources


def site(text: str, code: str, nth: int = 0, file: str = "train.py") -> Site:
    """The site of an expression of a text, as the recorder gives it."""
    page = Sources({file: text}, file).page(file)
    assert page is not None
    node = [n for n in page.all(ast.expr) if page.code(n) == code][nth]
    return Site(file, node.lineno, node.col_offset, node.end_lineno or -1, node.end_col_offset or -1)


def run(text: str) -> tuple[dict[str, Any], str]:
    """A script's variables and what it printed."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "train.py", "exec"), scope)
    return scope, out.getvalue()


def edited(remedy: Any, text: str) -> str:
    """The script after a remedy's edit."""
    return remedy.edit(Sources({"train.py": text}, "train.py")).files["train.py"]


HEAD = """import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.rand(200, 2) * 2 - 1
"""

CLASSES = (
    HEAD
    + """
y = (x[:, 0] * x[:, 1] > 0).float()


class Net(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.fc1 = nn.Linear(2, hidden)  # in
        self.fc2 = nn.Linear(hidden, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        return self.sigmoid(self.fc2(x)).squeeze(1)


net = Net()
criterion = nn.BCELoss()
LR = 0.05
optimizer = torch.optim.Adam(net.parameters(), lr=LR)
for epoch in range(60):
    out = net(x)
    loss = criterion(out, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    acc = (out.round() == y).float().mean()


def evaluate(model):
    with torch.no_grad():
        p = model(x)
        p = (p > 0.5).float()
        return (p == y).float().mean().item()


score = evaluate(net)
print("RESULT accuracy", score)
"""
)

LAYERS = (
    HEAD
    + """
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(
    nn.Linear(2, 16),  # in
    nn.ReLU(),
    nn.Linear(16, 2),
    nn.Softmax(dim=1),
)
opt = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
for epoch in range(60):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
score = (model(x).argmax(1) == y).float().mean().item()
best = model(x).max(1)[0]
print("RESULT accuracy", score)
"""
)

BY_HAND = (
    HEAD
    + """
y = x[:, :1] * 300 + 1000
W1 = (torch.randn(2, 8) / 2).requires_grad_()
b1 = torch.zeros(8, requires_grad=True)
W2 = (torch.randn(8, 1) / 3).requires_grad_()
b2 = torch.zeros(1, requires_grad=True)


def predict(x):
    h = torch.tanh(x @ W1 + b1)
    return h @ W2 + b2


lr = 0.1
for step in range(200):
    loss = ((predict(x) - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for p in (W1, b1, W2, b2):
            p -= lr * p.grad
            p.grad = None
score = 1 - (((predict(x) - y) ** 2).mean() / y.var()).item()
print("RESULT r2", score)
"""
)

TRAINER = (
    HEAD
    + """
y = x.sum(1, keepdim=True) * 50 + 400


def build(width):
    layers = [nn.Linear(2, width)]
    layers.append(nn.Linear(width, width))
    layers += [nn.Linear(width, 1)]
    return nn.Sequential(*layers)


class Trainer:
    def __init__(self, model, lr=1e-2):
        self.model = model
        self.loss_fn = nn.MSELoss()
        self.optim = torch.optim.Adam(self.model.parameters(), lr)

    def fit(self, epochs):
        for _ in range(epochs):
            pred = self.model(x)
            loss = self.loss_fn(pred, y)
            self.optim.zero_grad()
            loss.backward()
            self.optim.step()

    def score(self):
        with torch.no_grad():
            return 1 - float(self.loss_fn(self.model(x), y) / y.var())


trainer = Trainer(build(16))
trainer.fit(60)
score = trainer.score()
print("RESULT r2", score)
"""
)
