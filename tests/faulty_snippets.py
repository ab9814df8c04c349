"""The faults of the source rules as other people would write them: each piece must be found."""

# ruff: noqa: E501
from tests.healthy_snippets import BINARY, HEAD, LOOP, MODAL, MODEL, STEP, evaluated, looped

TRAINER = f"""{HEAD}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 16)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc2(self.drop(F.relu(self.fc1(x))))


class Trainer:
    def __init__(self, model, train_loader, val_loader):
        self.model = model
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.best = None
        self.losses = []

    def train_epoch(self):
        BEFORE
        total_loss = 0.0
        for xb, yb in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(xb), yb)
            loss.backward()
            self.optimizer.step()
            total_loss += loss.item()
            IN
        return total_loss / len(self.train_loader)

    def validate(self):
        MODE
        right = 0
        with torch.no_grad():
            for xb, yb in self.val_loader:
                COUNT
        return right / DIVISOR

    def fit(self, epochs):
        for epoch in range(epochs):
            print(epoch, self.train_epoch(), self.validate())
            AFTER


trainer = Trainer(Net(), train_loader, val_loader)
trainer.fit(5)
END
"""
DEFAULTS = {
    "BEFORE": "self.model.train()",
    "IN": "pass",
    "MODE": "self.model.eval()",
    "COUNT": "right += (self.model(xb).argmax(1) == yb).sum().item()",
    "DIVISOR": "len(self.val_loader.dataset)",
    "AFTER": "pass",
    "END": "",
}


def _trained(**changes: str) -> str:
    text = TRAINER
    for word, code in {**DEFAULTS, **changes}.items():
        text = text.replace(word, code)
    return text


METRICS = [
    _trained(COUNT="right = (self.model(xb).argmax(1) == yb).sum().item()"),
    _trained(DIVISOR="len(self.val_loader)"),
    _trained(COUNT="right += (self.model(xb).argmax(1) == yb).float().mean().item()"),
    _trained(COUNT="right += (self.model(xb).argmax(0) == yb).sum().item()"),
    evaluated(
        """
def evaluate(loader):
    correct, total = 0, 0
    with torch.no_grad():
        for xb, yb in loader:
            _, guess = torch.max(model(xb), 1)
            total += 1
            correct += (guess == yb).sum().item()
    return 100 * correct / total
"""
    ),
    evaluated(
        """
def evaluate(loader):
    total, correct = 0, 0
    with torch.no_grad():
        for xb, yb in loader:
            guess = model(xb).argmax(1)
            total = yb.size(0)
            correct += (guess == yb).sum().item()
    return correct / total
"""
    ),
    evaluated(
        """
def evaluate(loader):
    correct = 0
    with torch.no_grad():
        for xb, yb in loader:
            guess = model(xb).argmax(1)
            correct = guess.eq(yb).sum()
    return correct.item() / len(loader.dataset)
"""
    ),
    evaluated(
        """
def evaluate(loader):
    hits = 0
    with torch.no_grad():
        for xb, yb in loader:
            out = model(xb).squeeze(1)
            hits += ((out > 0.5).float() == yb).sum().item()
    return hits / len(loader.dataset)
""",
        BINARY,
    ),
    evaluated(
        """
def evaluate(loader):
    with torch.no_grad():
        logits = model(x[400:])
        answers = torch.round(logits).squeeze()
    return (answers == y[400:]).float().mean().item()
""",
        BINARY,
    ),
    evaluated(
        """
def evaluate(loader):
    hits = 0
    with torch.no_grad():
        for xb, yb in loader:
            hits += (model(xb).argmax(dim=1) == yb).sum().item()
    return hits / len(loader.dataset)
""",
        BINARY,
    ),
    evaluated(
        """
def evaluate(loader):
    hits = 0
    with torch.no_grad():
        for xb, yb in loader:
            prob = torch.sigmoid(model(xb)).squeeze(1)
            hits += ((prob > 0).long() == yb).sum().item()
    return hits / len(loader.dataset)
""",
        BINARY,
    ),
    looped(
        "right += (model(xb).argmax(1) == yb).sum().item()", after="print(right / len(train_set))", before="right = 0\n"
    ),
    f"""{HEAD}{MODEL}
for epoch in range(5):
    stats = {{"train": 0.0, "val": 0.0}}
    train_correct = 0
    val_correct = 0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        out = model(xb)
        loss = criterion(out, yb)
        loss.backward()
        optimizer.step()
        train_correct += (out.argmax(1) == yb).sum().item()
    model.eval()
    with torch.no_grad():
        for xb, yb in val_loader:
            out = model(xb)
            train_correct += (out.argmax(1) == yb).sum().item()
    print(train_correct / len(train_set), val_correct / len(val_set))
""",
]

GRAPHS = [
    _trained(IN="self.losses.append(loss)"),
    _trained(IN="total_loss += loss"),
    _trained(IN="total_loss = total_loss + loss"),
    looped("total += loss * len(xb)", after="print(total / 400)"),
    looped("history += [loss]", before="history = []\n"),
    looped("history.append(loss)", after="print(sum(history) / len(history))", before="history = []\n"),
    looped("stats['loss'] += loss", after="print(stats)", before="stats = {'loss': 0}\n"),
    looped("history.append((epoch, loss))", before="history = []\n"),
]

DEVICES = [
    looped("xb.to(device)"),
    looped("yb.cuda()", before="device = 'cuda'\n"),
    f"{HEAD}{MODEL}x.to(device)\ny.to(device)\nfor epoch in range(3):\n    criterion(model(x), y).backward()\n    optimizer.step()\n",
    f"{HEAD}{MODEL}for i, batch in enumerate(train_loader):\n    xb, yb = batch\n    xb.float()\n    criterion(model(xb), yb).backward()\n    optimizer.step()\n",
    _trained(IN="xb.to(device)"),
]

STATES = [
    _trained(AFTER="self.best = self.model.state_dict()", END="trainer.model.load_state_dict(trainer.best)"),
    looped(after="best = {'epoch': epoch, 'state': model.state_dict()}") + "model.load_state_dict(best['state'])\n",
    looped(after="best = model.state_dict().copy()") + "model.load_state_dict(best)\n",
    looped(after="best = {k: v for k, v in model.state_dict().items()}") + "model.load_state_dict(best)\n",
    looped(after="if total < best_loss: best_loss, best = total, model.state_dict()", before="best_loss = 9e9\n")
    + "torch.save(best, 'best.pt')\n",
    looped(
        "if loss.item() < best_loss:",
        "    best_loss = loss.item()",
        "    best_model = model",
        before="best_loss = 9e9\n",
    )
    + "print(best_model(x).argmax(1))\n",
    f"""{HEAD}
def fit(model, epochs):
    optimizer = torch.optim.Adam(model.parameters())
    best_weights = model.state_dict()
    best_loss = float("inf")
    for epoch in range(epochs):
        for xb, yb in train_loader:
            loss = F.cross_entropy(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if loss.item() < best_loss:
            best_loss = loss.item()
            best_weights = model.state_dict()
    model.load_state_dict(best_weights)
    return model
fit(nn.Linear(6, 3), 5)
""",
    f"""{HEAD}{MODEL}
def fit():
    lowest = 9e9
    for epoch in range(3):
        for xb, yb in train_loader:
            {STEP}
        if loss.item() < lowest:
            lowest = loss.item()
            state = {{'net': model.state_dict()}}
    torch.save(state, 'best.pt')
for rate in (1e-2, 1e-3):
    fit()
""",
    looped(
        after="held = model.state_dict(); model.load_state_dict(mean); print(model(x).mean()); model.load_state_dict(held)",
        before="mean = copy.deepcopy(model.state_dict())\n",
    ),
]

RESETS = [
    f"""{HEAD}
def train_epoch(model, loader):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for xb, yb in loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
model = nn.Linear(6, 3)
for epoch in range(10):
    train_epoch(model, train_loader)
""",
    f"""{HEAD}
model = nn.Linear(6, 3)
for epoch in range(10):
    for xb, yb in train_loader:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
    f"""{HEAD}
model = nn.Linear(6, 3)
for epoch in range(10):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for xb, yb in train_loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
    f"""{HEAD}
def make():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
def train(epochs=10):
    for ep in range(epochs):
        net = make()
        opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
        for xb, yb in train_loader:
            loss = F.cross_entropy(net(xb), yb)
            opt.zero_grad()
            loss.backward()
            opt.step()
        print(ep, loss.item())
    return net
train()
""",
    f"""{HEAD}
EPOCHS = 10
for i in range(EPOCHS):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for xb, yb in train_loader:
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(model(x).argmax(1))
""",
]

STEPS = [
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    loss = criterion(model(xb), yb)\n    loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    loss = criterion(model(xb), yb)\n    optimizer.zero_grad()\n    optimizer.step()\n    loss.backward()\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    optimizer.zero_grad()\n    loss = criterion(model(xb), yb)\n    loss.backward()\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    optimizer.zero_grad()\n    loss = criterion(model(xb), yb)\n    optimizer.step()\n    print(loss.item())\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    optimizer.zero_grad()\n    loss = criterion(model(xb), yb)\n    loss.backward()\n    optimizer.step\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    optimizer.zero_grad()\n    loss = criterion(model(xb), yb)\n    loss.backward\n    optimizer.step()\n",
    f"{HEAD}{MODEL}for epoch in range(3):\n    for xb, yb in train_loader:\n        optimizer.zero_grad()\n        loss = criterion(model(xb), yb)\n        loss.backward()\n    optimizer.step()\n",
    f"{HEAD}{MODEL}for xb, yb in train_loader:\n    loss = criterion(model(xb), yb)\n    loss.backward()\n    model.zero_grad()\n    optimizer.step()\n",
    f"{HEAD}{MODEL}sched = torch.optim.lr_scheduler.StepLR(optimizer, 3)\nfor epoch in range(3):\n    for xb, yb in train_loader:\n        optimizer.zero_grad()\n        criterion(model(xb), yb).backward()\n    sched.step()\n",
]

MODES = [
    _trained(BEFORE="pass"),
    _trained(MODE="pass"),
    f"{HEAD}{MODAL}model.eval()\n{LOOP}",
    f"{HEAD}{MODAL}model.train()\n{LOOP}    model.eval()\n    with torch.no_grad():\n        print(model(x[400:]).argmax(1))\n",
    f"{HEAD}{MODAL}{LOOP}    with torch.no_grad():\n        for xb, yb in val_loader:\n            print((model(xb).argmax(1) == yb).float().mean())\n",
    f"""{HEAD}{MODAL}
@torch.no_grad()
def score(net, loader):
    return sum((net(xb).argmax(1) == yb).sum().item() for xb, yb in loader) / len(loader.dataset)
{LOOP}    model.train()
print(score(model, val_loader))
""",
    f"""{HEAD}{MODAL}
def main():
    model.train()
    for epoch in range(4):
        for xb, yb in train_loader:
            optimizer.zero_grad()
            criterion(model(xb), yb).backward()
            optimizer.step()
        if epoch % 2 == 0:
            model.eval()
            with torch.no_grad():
                print(model(x[400:]).argmax(1))
main()
""",
]

SCHEDULES = [
    looped("scheduler.step()", before="scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)\n"),
    looped("scheduler.step()", before="scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)\n"),
    looped(
        "scheduler.step()", before="scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 4])\n"
    ),
    looped(
        "scheduler.step(loss)",
        before="EPOCHS = 30\nscheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)\n",
    ),
    looped(
        after="scheduler.step()",
        before="scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=5, steps_per_epoch=len(train_loader))\n",
    ),
    _trained(IN="self.sched.step()").replace(
        "        self.best = None",
        "        self.sched = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=2, gamma=0.1)",
    ),
]

SK = f"{HEAD}import pandas as pd\nfrom sklearn.model_selection import train_test_split\nrows, labels = x.numpy(), y.numpy()\nframe = pd.DataFrame(rows)\nframe['k'] = labels\n"
LEAKS = [
    f"{SK}from imblearn.over_sampling import SMOTE\nr, k = SMOTE(random_state=0).fit_resample(rows, labels)\na, b, c, d = train_test_split(r, k)\n",
    f"{SK}from sklearn.utils import resample\nfew = frame[frame.k == 1]\nmore = resample(few, replace=True, n_samples=300)\nframe = pd.concat([frame[frame.k == 0], more])\ntrain, test = train_test_split(frame)\n",
    f"{SK}rows = np.concatenate([rows] + [rows[labels == 1]] * 5)\nlabels = np.concatenate([labels] + [labels[labels == 1]] * 5)\na, b, c, d = train_test_split(rows, labels)\n",
    f"{SK}rows = np.vstack([rows, np.repeat(rows[labels == 1], 4, axis=0)])\nlabels = np.concatenate([labels, np.ones(4 * (labels == 1).sum())])\na, b, c, d = train_test_split(rows, labels)\n",
    f"{SK}from sklearn.feature_selection import SelectKBest\nrows = SelectKBest(k=3).fit_transform(rows, labels)\na, b, c, d = train_test_split(rows, labels)\n",
    f"{HEAD}test_loader = DataLoader(train_set, batch_size=100)\n",
    f"{HEAD}x_train, x_test = x[:500], x[400:]\n",
    f"{HEAD}more = x + 0.01 * torch.randn_like(x)\nx = torch.cat([x, more])\ny = torch.cat([y, y])\norder = torch.randperm(len(x))\nx, y = x[order], y[order]\nx_train, x_test = x[:900], x[900:]\ny_train, y_test = y[:900], y[900:]\n",
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
}
