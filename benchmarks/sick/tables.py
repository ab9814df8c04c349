"""The code is right and the data is wrong: one program that reads a table beside it, and many tables."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.sick.variation import Variation

Table = np.ndarray
ROWS = 1600

READ = '''"""Learn the last column of readings.npy from the others."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
table = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "readings.npy"))
@mend@
@split@
x_train, x_test = x[train_rows], x[test_rows]
y_train, y_test = y[train_rows], y[test_rows]
@scale@

'''
SPLIT = """mix = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))
train_rows, test_rows = mix[: len(table) * 3 // 4], mix[len(table) * 3 // 4 :]
x = torch.tensor(table[:, :-1], dtype=torch.float32)
y = torch.tensor(table[:, -1], dtype=torch.@dtype@)
"""
CLASSES = """
model = nn.Sequential(nn.Linear(x.shape[1], 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 4))
criterion = nn.CrossEntropyLoss(@weight@)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(40):
    total = 0.0
    for xb, yb in DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=@shuffle@):
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    if epoch % 8 == 0:
        print(f"epoch {epoch} loss {total / len(x_train):.4f}")
with torch.no_grad():
    hits = (model(x_test).argmax(1) == y_test).float()
recalls = [hits[y_test == k].mean().item() for k in y_test.unique()]
print(f"RESULT accuracy {sum(recalls) / len(recalls):.4f}")
"""
NUMBER = """
class Meter(nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.inner = nn.Linear(n_in, 64)
        self.outer = nn.Linear(64, 1)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(x))).squeeze(-1)


net = Meter(x.shape[1])
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(40):
    net.train()
    for part in torch.randperm(len(x_train)).split(40):
        loss = nn.functional.mse_loss(net(x_train[part]), y_train[part])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 8 == 0:
        print("epoch", epoch, "mse", loss.item())
net.eval()
with torch.no_grad():
    rest = ((net(x_test) - y_test) ** 2).mean()
print(f"RESULT r2 {1 - (rest / y_test.var()).item():.4f}")
"""
SCALE = """mean, std = x_train.mean(0), x_train.std(0) + 1e-8
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std"""
SCALE_Y = """centre, spread = y_train.mean(), y_train.std()
y_train, y_test = (y_train - centre) / spread, (y_test - centre) / spread"""


def sorts(rng: np.random.Generator) -> Table:
    """Seven columns and a class 0..3."""
    x = rng.normal(size=(ROWS, 7))
    rule = np.column_stack([x[:, 0] + x[:, 1], x[:, 2] * x[:, 3] + 0.3, x[:, 4] - x[:, 5], 0.8 - np.abs(x[:, 6])])
    return np.column_stack([x, (rule + 0.05 * rng.normal(size=rule.shape)).argmax(1)])


def levels(rng: np.random.Generator) -> Table:
    """Five columns and a number."""
    x = rng.normal(size=(ROWS, 5))
    y = np.tanh(x[:, 0] + x[:, 1]) + 0.7 * np.sin(x[:, 2]) + 0.4 * np.abs(x[:, 3]) - 0.3 * x[:, 4]
    return np.column_stack([x, (y - y.mean()) / y.std() + 0.05 * rng.normal(size=ROWS)])


def columns(change: Callable[[Table, np.random.Generator], Table]) -> Callable[[Table, np.random.Generator], Table]:
    """A change of the inputs alone."""
    return lambda t, rng: np.column_stack([change(t[:, :-1], rng), t[:, -1]])


def target(change: Callable[[Table, np.random.Generator], Table]) -> Callable[[Table, np.random.Generator], Table]:
    """A change of the last column alone."""
    return lambda t, rng: np.column_stack([t[:, :-1], change(t[:, -1], rng)])


def gaps(t: Table, rng: np.random.Generator) -> Table:
    """One row in fifty lost a reading."""
    t = t.copy()
    rows = rng.random(len(t)) < 0.02
    t[rows, 2] = np.nan
    return t


def unmeasured(t: Table, rng: np.random.Generator) -> Table:
    """One row in twelve holds -999 where nothing was measured."""
    t = t.copy()
    t[rng.random(len(t)) < 0.08, 3] = -999
    return t


def rare(t: Table, rng: np.random.Generator) -> Table:
    """The classes other than 0 turn up twice in a hundred rows, and the readings are noisier."""
    t = np.concatenate([t, *(sorts(rng) for _ in range(7))])
    t = t[(t[:, -1] == 0) | (rng.random(len(t)) < 0.03)]
    t[:, :-1] += 0.3 * rng.normal(size=t[:, :-1].shape)
    return t


def flat(x: Table, rng: np.random.Generator) -> Table:
    """An export that rounds to whole hundreds."""
    return np.round(x / 100) * 100


BOTH = {
    "healthy": (columns(lambda x, rng: x), (), {}),
    "units": (columns(lambda x, rng: x * 1e-5), ("input-scale",), {"scale": SCALE}),
    "large-units": (columns(lambda x, rng: x * 900), ("input-scale",), {"scale": SCALE}),
    "offset": (
        columns(lambda x, rng: x * 2 + [290, 150, -80, 1013, 60, 440, 75][: x.shape[1]]),
        ("input-offset",),
        {"scale": SCALE},
    ),
    "mixed-units": (
        columns(lambda x, rng: x * np.logspace(-2, 4, x.shape[1])),
        ("feature-scale-mix",),
        {"scale": SCALE},
    ),
    "gaps": (gaps, ("input-nonfinite",), {"mend": "table = table[~np.isnan(table).any(axis=1)]"}),
    "unmeasured": (unmeasured, ("feature-scale-mix",), {"mend": "table[table == -999] = 0.0"}),
    "constant": (columns(flat), ("input-degenerate",), None),
    "strangers": (target(lambda y, rng: rng.permutation(y)), ("label-misaligned",), None),
}
CLASS_ONLY = {
    "one-based": (target(lambda y, rng: y + 1), ("label-range",), {"mend": "table[:, -1] -= 1"}),
    "rare": (rare, ("class-imbalance",), {"weight": "1 / torch.bincount(y_train).float()"}),
    "sorted": (lambda t, rng: t[np.argsort(t[:, -1], kind="stable")], ("not-shuffled",), {"shuffle": "True"}),
}
NUMBER_ONLY = {
    "large-target": (target(lambda y, rng: 20000 + 6000 * y), ("target-scale",), {"scale": SCALE_Y}),
    "tiny-target": (target(lambda y, rng: 3e-4 * y), ("target-scale",), {"scale": SCALE_Y}),
}
INPUTS = (
    "input-scale",
    "input-offset",
    "feature-scale-mix",
    "saturated-hidden",
    "lr-too-low",
    "lr-too-high",
    "vanishing-gradient",
)
ALSO = {
    "input-nonfinite": ("exploding-gradient",),
    "input-degenerate": ("label-misaligned",),
    "label-misaligned": (),
    "label-range": ("wrong-loss",),
    "not-shuffled": ("lr-too-high",),
    "class-imbalance": ("under-capacity", "metric-error"),
    "target-scale": ("lr-too-low", "lr-too-high", "saturated-hidden", "exploding-gradient"),
}


def program(end: str, mend: dict[str, str], shuffle: str) -> str:
    """The reading program, with a repair where one is given."""
    sorted_rows = shuffle == "False"
    split = SPLIT.replace("@dtype@", "long" if end is CLASSES else "float32")
    if sorted_rows:  # every fourth row is kept for the test, the order of the file is kept, too
        split = split.partition("\n")[2]
        rows = "rows = torch.arange(len(table))\ntrain_rows, test_rows = rows[rows % 4 > 0], rows[rows % 4 == 0]\n"
        split = rows + split.partition("\n")[2]
    text = READ + end
    for hole in ("mend", "scale"):
        text = text.replace(f"@{hole}@\n", f"{mend[hole]}\n" if hole in mend else "")
    text = text.replace("@weight@", f"weight={mend['weight']}" if "weight" in mend else "")
    return text.replace("@split@\n", split).replace("@shuffle@", mend.get("shuffle", shuffle))


def stored(table: Table) -> bytes:
    """The table as numpy saves it."""
    out = io.BytesIO()
    np.save(out, table.astype(np.float32))
    return out.getvalue()


def cases() -> Iterator[Variation]:
    """Both programs with each of their tables."""
    for word, make, end, sets, blind, metric in (
        ("sorts", sorts, CLASSES, {**BOTH, **CLASS_ONLY}, 0.25, "accuracy"),
        ("levels", levels, NUMBER, {**BOTH, **NUMBER_ONLY}, 0.0, "r2"),
    ):
        for shade, (change, faults, mend) in sets.items():
            rng = np.random.default_rng(61)
            table = change(make(rng), rng)
            shuffle = "False" if shade == "sorted" else "True"
            also = tuple(a for f in faults for a in ALSO.get(f, INPUTS) if a not in faults)
            name = f"file_{word}_{shade}".replace("-", "_")
            yield Variation(
                name,
                faults,
                program(end, {}, shuffle),
                program(end, mend or {}, shuffle),
                f"the code is right, the table is not: {shade}" if faults else "the table is as it should be",
                also,
                "prepare the table" if faults else "none",
                metric,
                blind,
                files={"readings.npy": stored(table)},
                code_mends=mend is not None,
            )
