"""Healthy code that looks like a fault of the source rules: each piece goes into a small script, which must stay quiet."""

# ruff: noqa: E501
HEAD = """
import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

x, y = torch.randn(600, 6), torch.randint(0, 3, (600,))
train_set, val_set = TensorDataset(x[:400], y[:400]), TensorDataset(x[400:], y[400:])
train_loader = DataLoader(train_set, batch_size=20, shuffle=True)
val_loader = DataLoader(val_set, batch_size=50)
device = "cpu"
"""
MODEL = """
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
"""
BINARY = """
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
"""
MODAL = """
model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
"""
STEP = """optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()"""
LOOP = f"""
for epoch in range(5):
    total, seen = 0.0, 0
    for xb, yb in train_loader:
        {STEP}
"""


def looped(*lines: str, after: str = "pass", before: str = "", model: str = MODEL) -> str:
    inside = "".join(f"        {line}\n" for line in lines)
    return f"{HEAD}{model}{before}{LOOP}{inside}    {after}\n"


def evaluated(body: str, model: str = MODEL) -> str:
    return f"{HEAD}{model}{body}{LOOP}    print(epoch, evaluate(val_loader))\n"


METRICS = [
    looped("total += loss.item()", after="print(total / len(train_loader))"),
    looped("total += loss.item() * len(xb)", after="print(total / len(train_loader.dataset))"),
    looped("total += loss.item() * xb.size(0)", "seen += xb.size(0)", after="print(total / seen)"),
    looped("total += loss.item()", "seen += 1", after="print(total / seen)"),
    looped("last = loss.item()", after="print('last batch', last)"),
    looped("total = total + loss.item()", after="print(total / len(train_loader))"),
    looped("running = 0.9 * total + 0.1 * loss.item()", "total = running", after="print(total)"),
    looped("seen += (model(xb).argmax(1) == yb).sum().item()", after="print(100 * seen / len(train_set))"),
    looped("right = (model(xb).argmax(1) == yb).sum().item()", "seen += right", after="print(seen / 400)"),
    looped(
        "hit = (model(xb).argmax(1) == yb).float().mean().item()",
        "total += hit",
        after="print(total / len(train_loader))",
    ),
    looped("right = (model(xb).argmax(1) == yb).sum().item()", after="print('last batch', right / len(yb))"),
    looped("total += loss.item() / len(train_loader)", after="print(total)"),
    looped(
        "total += loss.item()", "seen += 1", after="print(total / len(train_loader))", before="best = 0\nprint(best)\n"
    ),
    looped("steps += 1", "sums += loss.item()", after="print(sums / steps)", before="sums = 0.0\nsteps = 0\n"),
    looped("total += F.cross_entropy(model(xb), yb, reduction='sum').item()", after="print(total / len(train_set))"),
    evaluated("""
def evaluate(loader):
    correct, total = 0, 0
    with torch.no_grad():
        for xb, yb in loader:
            _, guess = torch.max(model(xb).data, 1)
            total += yb.size(0)
            correct += (guess == yb).sum().item()
    return 100 * correct / total
"""),
    evaluated("""
def evaluate(loader):
    correct = 0
    with torch.no_grad():
        for xb, yb in loader:
            guess = model(xb).argmax(dim=1, keepdim=True)
            correct += guess.eq(yb.view_as(guess)).sum().item()
    return correct / len(loader.dataset)
"""),
    evaluated(
        """
def evaluate(loader):
    with torch.no_grad():
        return [(torch.sigmoid(model(xb)) > 0.5).float().mean().item() for xb, yb in loader]
""",
        BINARY,
    ),
    evaluated(
        """
def evaluate(loader):
    hits = 0
    with torch.no_grad():
        for xb, yb in loader:
            hits += ((model(xb) > 0).long().squeeze(1) == yb).sum().item()
    return hits / len(val_set)
""",
        BINARY,
    ),
    evaluated(
        """
def evaluate(loader):
    with torch.no_grad():
        p = torch.sigmoid(model(x[400:])).squeeze(1)
    return (p.round() == y[400:]).float().mean().item()
""",
        BINARY,
    ),
    evaluated("""
def evaluate(loader):
    single = model(x[0])
    return single.argmax(0).item() == y[0].item()
"""),
    evaluated("""
def evaluate(loader):
    val_loss = 0
    for xb, yb in loader:
        with torch.no_grad():
            val_loss += criterion(model(xb), yb).item()
    return val_loss / len(loader)
"""),
]

GRAPHS = [
    looped("total += loss.item()"),
    looped("total += loss.detach()"),
    looped("total += float(loss)"),
    looped("total += loss.data"),
    looped("history.append(loss.item())", before="history = []\n"),
    looped("history.append(float(loss.detach()))", before="history = []\n"),
    looped("loss = loss.item()", "total += loss"),
    looped("total += loss.cpu().item() * len(xb)"),
    looped("with torch.no_grad():", "    total += loss"),
    looped("print(loss)", "best = min(best, loss.item())", before="best = 9.0\n"),
    f"""{HEAD}{MODEL}
for epoch in range(5):
    total = 0
    for xb, yb in train_loader:
        total += criterion(model(xb), yb)
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
""",
    f"""{HEAD}{MODEL}
for xb, yb in train_loader:
    losses = []
    for part in xb.split(5):
        losses.append(model(part).pow(2).mean())
    loss = torch.stack(losses).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    f"""{HEAD}{MODEL}
def sequence_loss(xb, yb):
    loss = 0
    for k in range(3):
        loss = loss + criterion(model(xb + k), yb)
    return loss

for xb, yb in train_loader:
    loss = sequence_loss(xb, yb)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    f"""{HEAD}{MODEL}
for xb, yb in train_loader:
    loss = criterion(model(xb), yb)
    penalty = 0.0
    for p in model.parameters():
        penalty += p.pow(2).sum()
    loss += 1e-4 * penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    f"""{HEAD}{MODEL}
loss_sum = 0
for i, (xb, yb) in enumerate(train_loader):
    loss = criterion(model(xb), yb)
    loss_sum += loss
    if i % 4 == 3:
        loss_sum.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss_sum = 0
""",
]

DEVICES = [
    looped("xb = xb.to(device)"),
    looped("xb, yb = xb.to(device), yb.to(device)"),
    looped(before="model.to(device)\n"),
    looped(before="model.cuda() if torch.cuda.is_available() else None\n"),
    looped(before="model.double()\nmodel.float()\n"),
    looped(before="criterion.to(device)\n"),
    looped(before="for layer in model:\n    layer.to(device)\n"),
    looped(before="nets = {'a': model}\nfor name, net in nets.items():\n    net.to(device)\n    net.train()\n"),
    looped(before="for name, part in model.named_children():\n    part.float()\n"),
    looped("print(xb.to(device).mean())"),
    looped("batch = [t.to(device) for t in (xb, yb)]"),
    looped(before="x = x.to(device)\n"),
    looped(before="data = {'x': x}\ndata = {k: v.to(device) for k, v in data.items()}\n"),
    looped(
        before="class Holder:\n    def __init__(self, net):\n        self.net = net\n        self.net.to(device)\nHolder(model)\n"
    ),
    looped(before="def place(module):\n    module.to(device)\n    return module\nplace(model)\n"),
]

STATES = [
    looped(after="best = copy.deepcopy(model.state_dict())") + "model.load_state_dict(best)\n",
    looped(after="best = {k: v.clone() for k, v in model.state_dict().items()}") + "model.load_state_dict(best)\n",
    looped(after="torch.save(model.state_dict(), 'best.pt')") + "model.load_state_dict(torch.load('best.pt'))\n",
    looped() + "final = model.state_dict()\ntorch.save(final, 'final.pt')\n",
    looped(after="state = model.state_dict(); torch.save(state, 'now.pt')"),
    looped(after="print(len(model.state_dict()))"),
    looped(after="keys = list(model.state_dict().keys())") + "print(keys)\n",
    looped(after="best = copy.deepcopy(model)") + "best(x)\n",
    looped(after="best = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}")
    + "model.load_state_dict(best)\n",
    looped(before="other = nn.Linear(6, 3)\nother.load_state_dict(copy.deepcopy(other.state_dict()))\n"),
    looped(before="twin = copy.deepcopy(model)\ntwin.load_state_dict(model.state_dict())\n"),
    looped(after="norm = sum(v.norm().item() for v in model.state_dict().values()); print(norm)"),
    f"""{HEAD}
best_score, best_model = 9.0, None
for lr in (0.1, 0.01):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for xb, yb in train_loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if loss.item() < best_score:
        best_score, best_model = loss.item(), model
print(best_model(x).shape)
""",
    f"""{HEAD}
states = []
for fold in range(3):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for xb, yb in train_loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    states.append(model.state_dict())
torch.save(states, "folds.pt")
""",
    f"""{HEAD}
states = {{}}
for lr in (0.1, 0.01):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for epoch in range(3):
        for xb, yb in train_loader:
            loss = F.cross_entropy(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    states[lr] = model.state_dict()
""",
    f"""{HEAD}{MODEL}
best_score = 9e9
def train(epoch):
    for xb, yb in train_loader:
        {STEP}
def test(epoch):
    global best_score
    with torch.no_grad():
        score = criterion(model(x[400:]), y[400:]).item()
    if score < best_score:
        state = {{'net': model.state_dict(), 'epoch': epoch}}
        if epoch:
            torch.save(state, 'best.pt')
        best_score = score
for epoch in range(5):
    train(epoch)
    test(epoch)
""",
    f"""{HEAD}{MODEL}
def snapshot():
    state = {{'net': model.state_dict()}}
    note = len(state)
    print(note)
    return state
for epoch in range(5):
    for xb, yb in train_loader:
        {STEP}
    torch.save(snapshot(), 'now.pt')
""",
    looped(
        "weights = model.state_dict()",
        "twin.load_state_dict(weights)",
        before="twin = copy.deepcopy(model)\n",
    ),
]

FIT = """
def fit(model, optimizer, epochs=3):
    for epoch in range(epochs):
        for xb, yb in train_loader:
            loss = F.cross_entropy(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()
"""
RESETS = [
    looped(),
    f"{HEAD}{FIT}for seed in range(3):\n    model = nn.Linear(6, 3)\n    print(fit(model, torch.optim.Adam(model.parameters())))\n",
    f"{HEAD}{FIT}for lr in (1e-1, 1e-2):\n    net = nn.Linear(6, 3)\n    opt = torch.optim.Adam(net.parameters(), lr=lr)\n    print(lr, fit(net, opt))\n",
    f"{HEAD}{FIT}net = nn.Linear(6, 3)\nfor lr in (1e-1, 1e-2):\n    fit(net, torch.optim.Adam(net.parameters(), lr=lr))\n",
    looped(after="if epoch == 3: optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)"),
    looped(after="optimizer.param_groups[0]['lr'] *= 0.9"),
    looped(after="optimizer = torch.optim.SGD(model.parameters(), lr=0.1 * 0.9**epoch)"),
    f"{HEAD}{FIT}def run(width):\n    model = nn.Linear(6, 3)\n    optimizer = torch.optim.Adam(model.parameters())\n    return fit(model, optimizer)\nfor width in (8, 16):\n    print(run(width))\n",
    f"""{HEAD}
from sklearn.model_selection import KFold
scores = []
for fold, (a, b) in enumerate(KFold(3).split(x)):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(100):
        loss = F.cross_entropy(model(x[a]), y[a])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores.append((model(x[b]).argmax(1) == y[b]).float().mean().item())
""",
    f"""{HEAD}
for width in (4, 8, 16):
    model = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))
    optimizer = torch.optim.Adam(model.parameters())
    for xb, yb in train_loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(width, loss.item())
""",
    f"""{HEAD}{MODEL}
for client in range(4):
    local = copy.deepcopy(model)
    opt = torch.optim.SGD(local.parameters(), lr=0.1, momentum=0.9)
    for xb, yb in train_loader:
        loss = criterion(local(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    f"""{HEAD}{MODEL}
def adapt(net, steps=3):
    fast = copy.deepcopy(net)
    inner = torch.optim.Adam(fast.parameters(), lr=0.1)
    for step in range(steps):
        loss = criterion(fast(x[:20]), y[:20])
        inner.zero_grad()
        loss.backward()
        inner.step()
    return fast
for task in range(5):
    adapt(model)
""",
    f"""{HEAD}
results = []
for i in range(3):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.Adam(model.parameters())
    for xb, yb in train_loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    results.append(loss.item())
print(model, results)
""",
    f"""{HEAD}
for init in ("zeros", "normal"):
    model = nn.Linear(6, 3)
    getattr(nn.init, init + "_")(model.weight)
    optimizer = torch.optim.Adam(model.parameters())
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    print(init, model.weight.grad.norm())
""",
    f"""{HEAD}{MODEL}
schedule = [(3, 1e-2), (2, 1e-3)]
for epochs, lr in schedule:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for e in range(epochs):
        for xb, yb in train_loader:
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
""",
]

STEPS = [
    looped(),
    looped("optimizer.zero_grad(set_to_none=True)"),
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    criterion(model(xb), yb).backward()\n    optimizer.step()\n    optimizer.zero_grad()\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    model.zero_grad()\n    criterion(model(xb), yb).backward()\n    optimizer.step()\n",
    f"""{HEAD}{MODEL}
for i, (xb, yb) in enumerate(train_loader):
    (criterion(model(xb), yb) / 4).backward()
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
""",
    f"""{HEAD}{MODEL}
for epoch in range(5):
    optimizer.zero_grad()
    for xb, yb in train_loader:
        (criterion(model(xb), yb) / len(train_loader)).backward()
    optimizer.step()
""",
    f"""{HEAD}{MODEL}
for epoch in range(5):
    def closure():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss
    optimizer.step(closure)
""",
    f"""{HEAD}{MODEL}
scaler = torch.amp.GradScaler("cpu")
for xb, yb in train_loader:
    optimizer.zero_grad()
    scaler.scale(criterion(model(xb), yb)).backward()
    scaler.step(optimizer)
    scaler.update()
""",
    f"""{HEAD}{MODEL}
for xb, yb in train_loader:
    loss = criterion(model(xb), yb)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
""",
    f"""{HEAD}
g, d = nn.Linear(6, 6), nn.Linear(6, 1)
opt_g, opt_d = torch.optim.Adam(g.parameters()), torch.optim.Adam(d.parameters())
for xb, yb in train_loader:
    opt_d.zero_grad()
    (d(g(xb).detach()).mean() - d(xb).mean()).backward()
    opt_d.step()
    opt_g.zero_grad()
    (-d(g(xb)).mean()).backward()
    opt_g.step()
""",
    f"""{HEAD}{MODEL}
class Trainer:
    def __init__(self, net, opt):
        self.net, self.opt = net, opt
    def step(self, xb, yb):
        self.opt.zero_grad()
        loss = criterion(self.net(xb), yb)
        loss.backward()
        self.opt.step()
        return loss.item()
trainer = Trainer(model, optimizer)
for xb, yb in train_loader:
    trainer.step(xb, yb)
""",
    f"{HEAD}{MODEL}from lightning import Fabric\nfor xb, yb in train_loader:\n    Fabric().backward(criterion(model(xb), yb))\n",
    f"{HEAD}{MODEL}from somewhere import train\ntrain(model, optimizer, train_loader)\ncriterion(model(x), y).backward()\n",
    f"""{HEAD}{MODEL}
for xb, yb in train_loader:
    loss = criterion(model(xb), yb)
    grads = torch.autograd.grad(loss, list(model.parameters()))
    for p, grad in zip(model.parameters(), grads):
        p.grad = grad
    optimizer.step()
""",
    f"""{HEAD}{MODEL}
optimizer.zero_grad()
for xb, yb in train_loader:
    loss = criterion(model(xb), yb)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
""",
]

CHECKED = """
def evaluate(loader):
    model.eval()
    with torch.no_grad():
        return sum((model(xb).argmax(1) == yb).sum().item() for xb, yb in loader) / len(loader.dataset)
"""
MODES = [
    evaluated(CHECKED, MODEL),
    f"{HEAD}{MODAL}{CHECKED}{LOOP}print(evaluate(val_loader))\n",
    f"{HEAD}{MODAL}{CHECKED}{LOOP.replace('    total', '    model.train(); total')}    print(evaluate(val_loader))\n",
    f"{HEAD}{MODAL}{CHECKED}{LOOP}    print(evaluate(val_loader))\n    model.train()\n",
    f"{HEAD}{MODAL}{CHECKED}{LOOP}    evaluate(val_loader); model.train(True)\n",
    f"{HEAD}{MODAL}{CHECKED.replace('    model.eval()', '    was = model.training; model.eval()')}{LOOP}    evaluate(val_loader); model.train(mode=True)\n",
    f"{HEAD}{MODAL}{LOOP}    model.train(False)\n    model(x)\n    model.train(True)\n",
    f"{HEAD}{MODAL}teacher = copy.deepcopy(model)\nteacher.eval()\n{LOOP}",
    f"{HEAD}{MODAL}{CHECKED}print(evaluate(val_loader))\nmodel.train()\n{LOOP}",
    f"{HEAD}{MODAL}for p in model[0].parameters():\n    p.requires_grad = False\nmodel.eval()\n{LOOP}",
    f"{HEAD}{MODAL}{LOOP}with torch.no_grad():\n    draws = torch.stack([model(x) for _ in range(20)])\nmodel.eval()\nprint(model(x), draws.std(0))\n",
    f"{HEAD}{MODAL}{LOOP}model.eval()\nwith torch.inference_mode():\n    print(model(x[400:]).argmax(1))\n",
    f"""{HEAD}{MODAL}
def train_one_epoch(net):
    net.train()
    for xb, yb in train_loader:
        optimizer.zero_grad()
        criterion(net(xb), yb).backward()
        optimizer.step()
def validate(net):
    net.eval()
    with torch.no_grad():
        return sum(criterion(net(xb), yb).item() for xb, yb in val_loader)
for epoch in range(3):
    train_one_epoch(model)
    print(validate(model))
""",
    f"""{HEAD}{MODAL}
for epoch in range(3):
    for phase in ("train", "val"):
        model.train(phase == "train")
        for xb, yb in train_loader if phase == "train" else val_loader:
            with torch.set_grad_enabled(phase == "train"):
                loss = criterion(model(xb), yb)
            if phase == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
""",
    f"""{HEAD}
for fold in range(3):
    model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(50):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(fold, model(x).argmax(1))
""",
]

SCHEDULES = [
    looped(after="scheduler.step()", before="scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)\n"),
    looped("scheduler.step()", before="scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1000, gamma=0.5)\n"),
    looped(
        "scheduler.step()",
        before="scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5 * len(train_loader))\n",
    ),
    looped(
        "scheduler.step()",
        before="scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * len(train_loader))\n",
    ),
    looped(
        "scheduler.step()",
        before="scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, s / 10))\n",
    ),
    looped("scheduler.step()", before="scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9999)\n"),
    looped(
        "scheduler.step()", before="scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[60, 80])\n"
    ),
    looped("scheduler.step()", before="scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, 1e-4, 1e-2)\n"),
    looped(
        after="scheduler.step(total)",
        before="scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)\n",
    ),
    looped(
        "scheduler.step(loss)",
        before="scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=200)\n",
    ),
    looped(after="scheduler.step()", before="scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)\n"),
    looped(
        after="scheduler.step()", before="scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)\n"
    ),
    looped("if seen % 50 == 0: scheduler.step()", before="scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)\n"),
    f"""{HEAD}{MODEL}
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=200, gamma=0.5)
for epoch in range(1000):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    scheduler.step()
""",
    looped(
        after="scheduler.step()",
        before="scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)\n",
    ),
    looped(
        after="scheduler.step()",
        before="scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=5, steps_per_epoch=1)\n",
    ),
]

SKLEARN = f"{HEAD}from sklearn.model_selection import train_test_split\nimport pandas as pd\n"
RAW = "rows, labels = x.numpy(), y.numpy()\nframe = pd.DataFrame(rows)\nframe['k'] = labels\n"
LEAKS = [
    f"{SKLEARN}{RAW}a, b, c, d = train_test_split(rows, labels)\n",
    f"{SKLEARN}{RAW}frame = frame.sample(frac=1, random_state=0)\ntrain, test = train_test_split(frame)\n",
    f"{SKLEARN}{RAW}train, test = train_test_split(frame)\nmore = train[train.k == 1].sample(300, replace=True)\ntrain = pd.concat([train, more])\n",
    f"{SKLEARN}{RAW}frame = pd.concat([frame[frame.k == 0], frame[frame.k == 1].sample(50)])\ntrain, test = train_test_split(frame)\n",
    f"{SKLEARN}{RAW}from imblearn.under_sampling import RandomUnderSampler\nr, k = RandomUnderSampler().fit_resample(rows, labels)\na, b, c, d = train_test_split(r, k)\n",
    f"{SKLEARN}{RAW}from imblearn.over_sampling import SMOTE\na, b, c, d = train_test_split(rows, labels)\na, c = SMOTE().fit_resample(a, c)\n",
    f"{SKLEARN}rows = np.concatenate([np.random.randn(50, 3), np.random.randn(50, 3) + 2])\nlabels = np.repeat([0, 1], 50)\na, b, c, d = train_test_split(rows, labels)\n",
    f"{SKLEARN}labels = np.repeat(np.arange(3), 40)\nrows = np.random.randn(120, 4) + labels[:, None]\na, b, c, d = train_test_split(rows, labels)\n",
    f"{SKLEARN}{RAW}wide = np.concatenate([rows, rows**2], axis=1)\na, b, c, d = train_test_split(wide, labels)\n",
    f"{SKLEARN}{RAW}wide = np.hstack([rows, np.sin(rows)])\na, b, c, d = train_test_split(wide, labels)\n",
    f"{SKLEARN}from torch.utils.data import random_split\nfirst, second = random_split(TensorDataset(x, y), [500, 100])\n",
    f"{HEAD}idx = np.random.permutation(600)\ntr, te = x[idx[:500]], x[idx[500:]]\n",
    f"{HEAD}x_train, x_test = x[:500], x[500:]\n",
    f"{HEAD}x_train, x_val, x_test = x[:400], x[400:500], x[500:]\n",
    f"{HEAD}train_eval_loader = DataLoader(train_set, batch_size=100)\ntest_loader = DataLoader(val_set, batch_size=100)\n",
    f"{SKLEARN}{RAW}from sklearn.feature_selection import SelectKBest\na, b, c, d = train_test_split(rows, labels)\na = SelectKBest(k=3).fit_transform(a, c)\n",
]

SPLIT = "rows, labels = x.numpy(), y.numpy()\nX_train, X_test, y_train, y_test = train_test_split(rows, labels)\n"
SCALED = "from sklearn.preprocessing import StandardScaler\nscaler = StandardScaler()\nX_train = scaler.fit_transform(X_train)\n"
USED = (
    f"{MODEL}loss = criterion(model(torch.tensor(X_train)), torch.tensor(y_train))\nloss.backward()\noptimizer.step()\n"
)
SHOWN = "print(model(torch.tensor(X_test)).argmax(1))\n"
PREPARED = [
    f"{SKLEARN}{SPLIT}{SCALED}X_test = scaler.transform(X_test)\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}{SCALED}X_eval = scaler.transform(X_test)\n{USED}print(model(torch.tensor(X_eval)))\n",
    f"{SKLEARN}{SPLIT}{SCALED}{USED}print(model(torch.tensor(scaler.transform(X_test))))\n",
    f"{SKLEARN}{SPLIT}X_train = X_train / 255\nX_test = X_test / 255\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}mean, std = X_train.mean(0), X_train.std(0)\nX_train = (X_train - mean) / std\nX_test = (X_test - mean) / std\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}X_train /= 255\nX_test /= 255\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}X_train = X_train / 255\n{USED}xt = torch.tensor(X_test)\nprint(model(xt / 255))\n",
    f"{SKLEARN}{SPLIT}def prepare(a):\n    return a / 255\nX_train = X_train / 255\nX_test = prepare(X_test)\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}X_train = X_train / 255\n{USED}def show(a):\n    print(model(torch.tensor(a / 255)))\nshow(X_test)\n",
    f"{SKLEARN}rows = x.numpy()\ntrain_loss = 3.0\ntrain_loss = train_loss / 5\nval_loss = 2.0\nprint(train_loss, val_loss)\n",
    f"{SKLEARN}{SPLIT}from sklearn.pipeline import make_pipeline\nsteps = make_pipeline()\nX_train = steps.fit_transform(X_train)\nX_test = steps.transform(X_test)\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}X_train = X_train.astype('float32')\nX_test = torch.tensor(X_test)\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}y_train = y_train - y_train.min()\ny_test = y_test - y_test.min()\n{USED}{SHOWN}",
    f"{SKLEARN}{SPLIT}X_train = X_train / 255\n{USED}for row in X_test:\n    print(model(torch.tensor(row / 255)))\n",
]

FAMILIES = {
    "metric_error": METRICS,
    "loss_keeps_graph": GRAPHS,
    "device_copy_discarded": DEVICES,
    "state_dict_alias": STATES,
    "optimizer_reset": RESETS,
    "no_step": STEPS,
    "mode_error": MODES,
    "scheduler_misuse": SCHEDULES,
    "eval_leak": LEAKS,
    "preprocess_mismatch": PREPARED,
}
