"""One small network trained in many styles: each prints its losses to the last bit, five steps of them."""

HEAD = """
import torch
from torch import nn

torch.manual_seed(3)
x = torch.randn(64, 6)
y = (x[:, :3].sum(1) > 0).float()
"""

STYLES = {
    "module": HEAD
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.b(torch.relu(self.a(x))).squeeze(1)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for step in range(5):
    loss = nn.functional.binary_cross_entropy_with_logits(net(x[step * 8 : step * 8 + 8]), y[step * 8 : step * 8 + 8])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(repr(loss.item()))
""",
    "raw tensors": HEAD
    + """
W1 = (0.3 * torch.randn(6, 8)).requires_grad_()
b1 = torch.zeros(8, requires_grad=True)
W2 = (0.3 * torch.randn(8, 1)).requires_grad_()
for step in range(5):
    out = torch.tanh(x @ W1 + b1) @ W2
    loss = ((out.squeeze(1) - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for p in (W1, b1, W2):
            p -= 0.1 * p.grad
            p.grad = None
    print(repr(loss.item()))
""",
    "sum of losses": HEAD
    + """
trunk, one, two = nn.Linear(6, 8), nn.Linear(8, 1), nn.Linear(8, 2)
optimizer = torch.optim.SGD([*trunk.parameters(), *one.parameters(), *two.parameters()], lr=0.1, momentum=0.9)
for step in range(5):
    h = torch.sigmoid(trunk(x))
    loss = nn.functional.mse_loss(one(h).squeeze(1), y) + 0.5 * nn.functional.cross_entropy(two(h), y.long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(repr(loss.item()))
""",
    "closure": HEAD
    + """
net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))
optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=4)


def closure():
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x).squeeze(1), y)
    loss.backward()
    return loss


for step in range(5):
    print(repr(optimizer.step(closure).item()))
""",
    "two players": HEAD
    + """
maker, judge = nn.Linear(2, 6), nn.Linear(6, 1)
make = torch.optim.Adam(maker.parameters(), lr=0.01)
judging = torch.optim.Adam(judge.parameters(), lr=0.01)
bce = nn.BCEWithLogitsLoss()
for step in range(5):
    fake = maker(torch.randn(64, 2))
    real_loss = bce(judge(x), torch.ones(64, 1)) + bce(judge(fake.detach()), torch.zeros(64, 1))
    judging.zero_grad()
    real_loss.backward()
    judging.step()
    loss = bce(judge(fake), torch.ones(64, 1))
    make.zero_grad()
    loss.backward()
    make.step()
    print(repr(real_loss.item()), repr(loss.item()))
""",
    "accumulation": HEAD
    + """
net = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
for step in range(10):
    rows = slice(step * 4, step * 4 + 4)
    loss = nn.functional.binary_cross_entropy_with_logits(net(x[rows]).squeeze(1), y[rows])
    (loss / 2).backward()
    if step % 2:
        optimizer.step()
        optimizer.zero_grad()
    print(repr(loss.item()))
""",
    "workers": HEAD
    + """
from torch.utils.data import DataLoader, TensorDataset


def main():
    net = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for a, b in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, num_workers=2):
        loss = nn.functional.binary_cross_entropy_with_logits(net(a).squeeze(1), b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(repr(loss.item()))


if __name__ == "__main__":
    main()
""",
    "phases": HEAD
    + """
net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01)
for epoch in range(5):
    net.train()
    loss = nn.functional.cross_entropy(net(x[:48]), y[:48].long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    net.eval()
    with torch.no_grad():
        right = (net(x[48:]).argmax(1) == y[48:]).float().mean()
    print(repr(loss.item()), repr(right.item()))
""",
    "autocast": HEAD
    + """
net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(5):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(x).squeeze(1)
    loss = nn.functional.binary_cross_entropy_with_logits(out.float(), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(repr(loss.item()))
""",
    "float64": HEAD
    + """
net = nn.Sequential(nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 1)).double()
optimizer = torch.optim.Adagrad(net.parameters(), lr=0.1)
for step in range(5):
    loss = nn.functional.huber_loss(net(x.double()).squeeze(1), y.double())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 0.05)
    optimizer.step()
    print(repr(loss.item()))
""",
    "recurrent": HEAD
    + """
rnn, head = nn.GRU(3, 8, batch_first=True), nn.Linear(8, 1)
optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.01)
for step in range(5):
    out, _ = rnn(x.view(64, 2, 3))
    loss = nn.functional.binary_cross_entropy_with_logits(head(out[:, -1]).squeeze(1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(repr(loss.item()))
""",
    "pictures": HEAD
    + """
conv = nn.Conv2d(1, 4, 3, padding=1)
net = nn.Sequential(conv, nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, nesterov=True, momentum=0.9)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
for step in range(5):
    out = net(torch.cat([x, x], 1).view(64, 1, 4, 3))
    loss = nn.functional.cross_entropy(out, y.long(), label_smoothing=0.1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    print(repr(loss.item()))
""",
    "words": HEAD
    + """
ids = (x * 3).long() % 11
bag, head = nn.EmbeddingBag(11, 5), nn.Linear(5, 1)
optimizer = torch.optim.NAdam([*bag.parameters(), *head.parameters()], lr=0.05)
for step in range(5):
    loss = nn.BCELoss()(torch.sigmoid(head(bag(ids))).squeeze(1), y)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    print(repr(loss.item()))
""",
    "spawn": HEAD
    + """
import torch.multiprocessing as mp


def double(value, queue):
    queue.put(value * 2)


def main():
    net = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    for step in range(2):
        loss = nn.functional.mse_loss(net(x).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        child = context.Process(target=double, args=(loss.item(), queue))
        child.start()
        child.join()
        print(repr(queue.get()))


if __name__ == "__main__":
    main()
""",
    "warned": HEAD
    + """
net = nn.Linear(6, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
loss_fn = nn.MSELoss()
total = 0
for step in range(5):
    loss = loss_fn(net(x[:9]), y[:9])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss
    print("mean", f"{total / (step + 1):.6f}", float(total))
    print("of all", nn.functional.mse_loss(net(x), y).item())
""",
    "fails": HEAD
    + """
net = nn.Linear(6, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(5):
    loss = nn.functional.cross_entropy(net(x), y.long() + step)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(repr(loss.item()))
""",
}
"""Style -> script."""

FAITHFUL = sorted(set(STYLES) - {"spawn", "fails", "workers", "closure", "phases"})
"""Styles whose every replayed loss must be the recorded one (no dropout, one call of the loss per step)."""
