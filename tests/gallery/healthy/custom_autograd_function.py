"""An autograd Function of one's own: a sign activation with a straight-through gradient."""

import os

import torch
import torch.nn as nn


class SignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * (x.abs() <= 1)


class BinaryNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 128)
        self.norm = nn.BatchNorm1d(128)
        self.fc2 = nn.Linear(128, 1)

    def forward(self, x):
        return self.fc2(SignSTE.apply(self.norm(self.fc1(x)))).squeeze(1)


torch.manual_seed(int(os.environ.get("SEED", 0)))
x = torch.randn(3000, 8)
y = ((x[:, 0] * x[:, 1] + x[:, 2]) > 0).float()
model = BinaryNet()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(25):
    model.train()
    for idx in torch.randperm(2400).split(64):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 5 == 0:
        print(epoch, round(loss.item(), 4))
model.eval()
with torch.no_grad():
    print("RESULT accuracy", round(((model(x[2400:]) > 0) == (y[2400:] > 0)).float().mean().item(), 4))
