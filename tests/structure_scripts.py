"""Short steps with and without the faults that the structure rules read, in many styles: raw tensors, modules, several
inputs, recurrent and convolutional layers, losses by hand. Each defines `weights` and `loss_of(rows)`."""

# ruff: noqa: E501
FRAME = """
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
N = 96
x = torch.randn(N, 6)
ids = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
yes = (x[:, 0] + x[:, 1] > 0).float()
value = x[:, 0] - 2 * x[:, 1]
mlp = lambda out: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, out))
{body}
optimizer = torch.optim.{optimizer}
for epoch in range({epochs}):
    for rows in torch.arange(N).split(16):
        optimizer.zero_grad()
        loss = loss_of(rows)
        loss.backward()
        optimizer.step()
"""


def script(body: str, epochs: int = 3, optimizer: str = "Adam(weights, lr=0.01)") -> str:
    """The whole script around a body."""
    return FRAME.format(body=body.strip("\n"), epochs=epochs, optimizer=optimizer)


NET = """
net = mlp({out})
weights = net.parameters()
def loss_of(rows):
    out = net(x[rows])
    return {loss}
"""


def net(out: int, loss: str) -> str:
    """A body with a plain network and a loss on `out`."""
    return NET.format(out=out, loss=loss)


ATTENTION = """
q, k, v, head = (nn.Linear(3, 8) for _ in "qkv"), None, None, nn.Linear(8, 3)
q, k, v = q
weights = [*q.parameters(), *k.parameters(), *v.parameters(), *head.parameters()]
def loss_of(rows):
    s = x[rows].reshape(-1, 2, 3)
    scores = q(s) @ k(s).transpose(1, 2) / 3
    a = scores.softmax({dim})
    return F.cross_entropy(head((a @ v(s)).mean(1)), ids[rows])
"""
POOLED = """
score, head = nn.Linear(3, 1), nn.Linear(3, 3)
weights = [*score.parameters(), *head.parameters()]
def loss_of(rows):
    s = x[rows].reshape(-1, 2, 3)
    a = torch.softmax(score(s), dim={dim})
    return F.cross_entropy(head((a * s).sum(1)), ids[rows])
"""
RAW = """
A = (torch.randn(6, 8) / 3).requires_grad_()
b = torch.zeros(8, requires_grad=True)
C = (torch.randn(8, 3) / 3).requires_grad_()
weights = [A, b, C]
def loss_of(rows):
    h = {hidden}
    out = h @ C
    return {loss}
"""
GATED = """
gate, body = nn.Linear(6, 3), nn.Linear(6, 3)
weights = [*gate.parameters(), *body.parameters()]
def loss_of(rows):
    return F.cross_entropy(torch.sigmoid(gate(x[rows])) * body(x[rows]), ids[rows])
"""
TWO_PLAYERS = """
net, other = mlp(1), mlp(1)
weights = net.parameters()
theirs = torch.optim.SGD(other.parameters(), lr=0.01)
def loss_of(rows):
    theirs.step()
    return -F.mse_loss(other(net(x[rows]) * x[rows]), value[rows].unsqueeze(1))
"""
ENTROPY = net(3, "F.cross_entropy(out, ids[rows]) + 0.01 * (out.softmax(1) * out.log_softmax(1)).sum(1).mean()")
MASKED = """
pos, net = nn.Linear(6, 6), mlp(3)
mask = torch.zeros(6).masked_fill(torch.arange(6) > 3, float("-inf"))
weights = [*pos.parameters(), *net.parameters()]
def loss_of(rows):
    a = torch.softmax(pos(x[rows]) + mask, dim=1)
    return F.cross_entropy(net(a * x[rows]), ids[rows])
"""
CONV = """
one, two, head = nn.Conv1d(1, 4, 3), nn.Conv1d(4, 4, 3), nn.Linear(8, 3)
weights = [*one.parameters(), *two.parameters(), *head.parameters()]
def loss_of(rows):
    h = {between}(one(x[rows].unsqueeze(1)))
    return F.cross_entropy(head(torch.relu(two(h)).flatten(1)), ids[rows])
"""
RESCALED = """
net = mlp(1)
weights = net.parameters()
def loss_of(rows):
    return (((net(x[rows]).squeeze(1) * 3000 + 50000) - (value[rows] * 3000 + 50000)) / 3000).square().mean()
"""

FOUND = [
    ("double-activation", net(3, "F.cross_entropy(F.softmax(out, -1), ids[rows])"), "drop-activation"),
    ("double-activation", net(1, "F.binary_cross_entropy_with_logits(out.sigmoid().squeeze(1), yes[rows])"), "drop-activation"),
    ("double-activation", RAW.format(hidden="torch.tanh(x[rows] @ A + b)", loss="F.cross_entropy(torch.sigmoid(out), ids[rows])"), "drop-activation"),
    ("double-activation", net(3, "F.nll_loss(out.softmax(1).log_softmax(1), ids[rows])"), "drop-activation"),
    ("missing-activation", net(3, "F.nll_loss(out, ids[rows])"), "add-activation"),
    ("missing-activation", net(1, "F.binary_cross_entropy(5 * out.squeeze(1), yes[rows])"), "add-activation"),
    ("missing-activation", net(3, "F.kl_div(out, F.one_hot(ids[rows], 3).float())"), ""),
    ("softmax-dim", net(3, "F.nll_loss(F.log_softmax(out, 0), ids[rows])"), "fix-softmax-dim"),
    ("softmax-dim", net(1, "F.binary_cross_entropy(out.softmax(1), yes[rows].unsqueeze(1))"), "sigmoid-for-one"),
    ("softmax-dim", ATTENTION.format(dim=1), "fix-softmax-dim"),
    ("softmax-dim", POOLED.format(dim=-1), "fix-softmax-dim"),
    ("output-range", net(3, "F.cross_entropy(out.relu(), ids[rows])"), "drop-output-activation"),
    ("output-range", net(1, "F.mse_loss(torch.relu(out).squeeze(1), value[rows])"), "drop-output-activation"),
    ("output-range", net(1, "(2 * torch.tanh(out).squeeze(1) + 1 - 5 * value[rows]).abs().mean()"), "drop-output-activation"),
    ("output-range", net(1, "F.binary_cross_entropy(out.relu().sigmoid().squeeze(1), yes[rows])"), "drop-output-activation"),
    ("loss-sign", net(3, "-F.cross_entropy(out, ids[rows])"), "flip-sign"),
    ("loss-sign", net(1, "-((out.squeeze(1) - value[rows]) ** 2).mean()"), "flip-sign"),
    ("loss-sign", net(3, "-1.0 * F.cross_entropy(out, ids[rows])"), "negate-loss"),
    ("loss-sign", net(3, "-(F.cross_entropy(out, ids[rows]) + 1e-3 * out.square().mean())"), "flip-sign"),
    ("loss-sign", net(3, "out.log_softmax(1).gather(1, ids[rows].unsqueeze(1)).mean()"), "negate-loss"),
    ("loss-sign", net(3, "(F.one_hot(ids[rows], 3).float() * out.log_softmax(1)).sum(1).mean()"), "negate-loss"),
    ("target-shape", net(1, "F.mse_loss(out, value[rows])"), "squeeze-prediction"),
    ("target-shape", net(1, "(out.squeeze(1) - value[rows].unsqueeze(1)).abs().mean()"), "squeeze-prediction"),
    ("target-shape", net(1, "F.binary_cross_entropy_with_logits(out, yes[rows])"), "squeeze-prediction"),
    ("target-shape", net(3, "-(out.log_softmax(1).gather(1, ids[rows].unsqueeze(1)) * value[rows]).mean()"), "squeeze-prediction"),
    ("target-shape", net(3, "(F.cross_entropy(out, ids[rows], reduction='none') * (value[rows] - mlp(1)(x[rows]).detach())).mean()"), "squeeze-prediction"),
    ("target-scale", net(1, "F.mse_loss(out.squeeze(1), 1000 + 50 * value[rows])"), "standardise-targets"),
    ("target-scale", net(1, "F.l1_loss(out.squeeze(1), 1e-4 * value[rows])"), "standardise-targets"),
    ("target-scale", net(1, "((out[:, 0] - (500 + value[rows])) ** 2).mean()"), "standardise-targets"),
    ("label-range", net(3, "F.cross_entropy(out, ids[rows] + 1)"), "relabel"),
    ("label-range", "ids = (ids / 255).long()\n" + net(3, "F.cross_entropy(out, ids[rows])"), "keep-labels"),
    ("label-range", "parts = ids / 255.0\nids = torch.tensor(parts.numpy()).long()\n" + net(3, "F.cross_entropy(out, ids[rows])"), "keep-labels"),
    ("label-range", "ids[:] = 1\n" + net(3, "F.cross_entropy(out, ids[rows])"), ""),
    ("label-range", net(3, "F.cross_entropy(out, ids[rows].float())"), "cast-targets"),
    ("label-range", net(1, "F.binary_cross_entropy_with_logits(out[:, 0], 2 * yes[rows] - 1)"), "recode-targets"),
    ("label-range", net(1, "F.binary_cross_entropy(out[:, 0].sigmoid(), 1 + yes[rows])"), "recode-targets"),
    ("label-range", net(1, "F.binary_cross_entropy_with_logits(out[:, 0], yes[rows].long())"), "cast-targets"),
    ("label-range", net(1, "F.soft_margin_loss(out[:, 0], yes[rows])"), ""),
    ("input-nonfinite", "x[5, 2] = float('inf')\n" + net(3, "F.cross_entropy(out, ids[rows])"), "clean-inputs"),
    ("input-nonfinite", "value[7] = float('nan')\n" + net(1, "F.mse_loss(out[:, 0], value[rows])"), ""),
    ("input-degenerate", "x[:] = 0.5\n" + net(3, "F.cross_entropy(out, ids[rows])"), ""),
    ("input-degenerate", "x = (torch.rand(N, 6) * 200).long() // 255\nx = x.float()\n" + net(3, "F.cross_entropy(out, ids[rows])"), "keep-fractions"),
    ("wrong-loss", net(3, "F.cross_entropy(out, (x[rows, :3] > 0).float())"), "fit-loss"),
    ("wrong-loss", net(1, "F.cross_entropy(out, yes[rows].long())"), "loss-of-one"),
    ("wrong-loss", net(1, "F.binary_cross_entropy(yes[rows], out[:, 0].sigmoid())"), "swap-arguments"),
    ("wrong-loss", net(1, "F.mse_loss(out[:, 0], ids[rows].float())"), ""),
    ("no-nonlinearity", RAW.format(hidden="x[rows] @ A + b", loss="F.cross_entropy(out, ids[rows])"), "insert-nonlinearity"),
    ("no-nonlinearity", CONV.format(between=""), "insert-nonlinearity"),
]  # fmt: skip
"""(fault, body, the name of its first remedy)"""

RIGHT = [
    net(3, "F.cross_entropy(out, ids[rows])"),
    net(3, "F.nll_loss(out - out.logsumexp(1, keepdim=True), ids[rows])"),
    net(1, "F.binary_cross_entropy(out.sigmoid()[:, 0], yes[rows])"),
    net(1, "F.binary_cross_entropy_with_logits(out, yes[rows].unsqueeze(1))"),
    net(1, "-(yes[rows] * torch.log(out[:, 0].sigmoid() + 1e-6) + (1 - yes[rows]) * torch.log(1 - out[:, 0].sigmoid() + 1e-6)).mean()"),
    net(3, "-out.log_softmax(1)[range(16), ids[rows]].mean()"),
    net(3, "-(1e-3 * out.square().mean() - F.cross_entropy(out, ids[rows]))"),
    net(3, "F.kl_div(out.log_softmax(1), F.one_hot(ids[rows], 3).float(), reduction='batchmean')"),
    net(3, "F.cross_entropy(out, 0.9 * F.one_hot(ids[rows], 3) + 0.1 / 3)"),
    net(3, "F.cross_entropy(out, torch.where(torch.arange(16) < 8, ids[rows], -100))"),
    net(3, "F.binary_cross_entropy_with_logits(out, (x[rows, :3] > 0).float())"),
    net(1, "F.mse_loss(3 * torch.tanh(out)[:, 0], value[rows].clamp(-2, 2))"),
    net(1, "F.mse_loss(torch.sigmoid(out)[:, 0], yes[rows])"),
    net(1, "(out[:, 0] - value[rows]).square().mean().sqrt()"),
    net(1, "F.soft_margin_loss(out[:, 0], 2 * yes[rows] - 1)"),
    net(1, "(out[:, 0].unsqueeze(1) - out[:, 0]).sub(value[rows].unsqueeze(1) - value[rows]).square().mean()"),
    net(1, "F.mse_loss(torch.where(yes[rows] > 0, out[:, 0], value[rows]), value[rows])"),
    ATTENTION.format(dim=-1), POOLED.format(dim=1), GATED, TWO_PLAYERS, ENTROPY, MASKED, RESCALED,
    CONV.format(between="torch.relu"),
    RAW.format(hidden="torch.tanh(x[rows] @ A + b)", loss="F.cross_entropy(out, ids[rows])"),
]  # fmt: skip
"""Bodies on which every one of the rules is quiet."""
