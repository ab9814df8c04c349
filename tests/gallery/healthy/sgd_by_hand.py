"""No nn.Module, no torch.optim: two weight matrices, the update written out and the gradients zeroed by hand."""

import os

import torch

torch.manual_seed(int(os.environ.get("SEED", 0)))
N, D_in, H, D_out = 1200, 10, 60, 3
x = torch.randn(N, D_in)
teacher = torch.randn(D_in, D_out, generator=torch.Generator().manual_seed(3))
y = (x @ teacher + 0.5 * (x**2) @ teacher.flip(0)).argmax(dim=1)

w1 = (torch.randn(D_in, H) * (2 / D_in) ** 0.5).requires_grad_()
b1 = torch.zeros(H, requires_grad=True)
w2 = (torch.randn(H, D_out) * (1 / H) ** 0.5).requires_grad_()
b2 = torch.zeros(D_out, requires_grad=True)
params = [w1, b1, w2, b2]
learning_rate = 0.2


def model(inputs):
    return (inputs @ w1 + b1).clamp(min=0) @ w2 + b2


for t in range(1200):
    rows = torch.randint(0, 900, (60,))
    log_p = torch.log_softmax(model(x[rows]), dim=1)
    loss = -log_p[torch.arange(60), y[rows]].mean()
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= learning_rate * p.grad
            p.grad.zero_()
    if t % 200 == 199:
        print(t, loss.item())

with torch.no_grad():
    acc = (model(x[900:]).argmax(1) == y[900:]).float().mean().item()
print("RESULT accuracy", round(acc, 4))
