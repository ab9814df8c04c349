"""Where scripts keep their values: settings, parameter groups, columns of a table, generators."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import edited, run, site
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.remedies.relabel import Relabel
from unstuck.remedies.set_dropout import SetDropout
from unstuck.remedies.set_weight_decay import SetWeightDecay
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

SETTINGS = {
    "dict": ('cfg = {"p": 0.9, "width": 8}', 'cfg["p"]', 'cfg = {"p": 0.1, "width": 8}'),
    "namespace": (
        "from types import SimpleNamespace\ncfg = SimpleNamespace(p=0.9, width=8)",
        "cfg.p",
        "cfg = SimpleNamespace(p=0.1, width=8)",
    ),
    "dataclass": (
        "from dataclasses import dataclass\n\n\n@dataclass\nclass Config:\n    p: float = 0.9\n\n\ncfg = Config()",
        "cfg.p",
        "    p: float = 0.1",
    ),
    "command line": (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--p', type=float, default=0.9)\n"
        "cfg = parser.parse_args([])",
        "cfg.p",
        "default=0.1",
    ),
}
NET = """
{made}
import torch
from torch import nn

net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout({read}), nn.Linear(8, 1))
print(net[2].p)
"""


@pytest.mark.parametrize("kind", SETTINGS)
def test_dropout_is_set_where_its_value_is_kept(kind: str) -> None:
    made, read, expected = SETTINGS[kind]
    new = edited(SetDropout(0.1, 0.5), NET.format(made=made, read=read))
    assert expected in new or "nn.Dropout(0.1)" in new
    assert run(new)[1] == "0.1\n"


def test_computed_dropout_is_set_in_its_call() -> None:
    new = edited(SetDropout(0.1, 0.5), NET.format(made="import math", read="math.sqrt(0.81)"))
    assert run(new)[1] == "0.1\n"


GROUPS = """
import torch
from torch import nn

net = nn.Linear(2, 1)


def groups(wd):
    return [{"params": [net.weight], "weight_decay": wd}, {"params": [net.bias], "weight_decay": 0.0}]


optimizer = torch.optim.SGD(groups(0.3), lr=0.1)
net(torch.ones(1, 2)).sum().backward()
optimizer.step()
print([g["weight_decay"] for g in optimizer.param_groups])
"""


def test_weight_decay_of_parameter_groups() -> None:
    assert run(GROUPS)[1] == "[0.3, 0.0]\n"
    assert run(edited(SetWeightDecay(0.0), GROUPS))[1] == "[0, 0]\n"


COLUMN = """
import pandas as pd
import torch
import torch.nn.functional as F

table = pd.DataFrame({"soil": [0, 1, 2, 1], "cover": [1, 2, 3, 1]})
soils = int(table["soil"].max()) + 1
train, test = table[:3], table[3:]


def packed(part):
    return torch.tensor(part["soil"].to_numpy()), torch.tensor(part["cover"].to_numpy(), dtype=torch.long)


model = torch.nn.Embedding(soils, 3)
xb, yb = packed(train)
loss = F.cross_entropy(model(xb), yb)
print(packed(test)[1].tolist())
"""


def test_labels_of_a_column_are_shifted_in_the_whole_table() -> None:
    new = edited(Relabel(1, site(COLUMN, "F.cross_entropy(model(xb), yb)")), COLUMN)
    assert '\ntable["cover"] -= 1\n' in new
    assert run(new)[1] == "[0]\n"


SORTED = """
import torch
from torch import nn

torch.manual_seed(0)
centres = torch.randn(5, 8) * 1.5
y = torch.arange(5).repeat_interleave(160)
x = centres[y] + torch.randn(800, 8)
kept = torch.arange(800) % 5 > 0
x_train, y_train = x[kept], y[kept]


def batches(x, y, size):
    for i in range(0, len(x), size):
        yield x[i : i + size], y[i : i + size]


model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay={decay})
for epoch in range(6):
    for xb, yb in batches(x_train, y_train, 16):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
"""


def _found(tape: Tape, fault: str) -> list[Finding]:
    found, _ = examine(Readings(tape), {fault: catalogue()[fault]})
    return found


def test_unshuffled_rows_from_a_generator(tmp_path: Path) -> None:
    text = SORTED.format(decay=0)
    (finding,) = _found(tape_of(text, tmp_path), "not-shuffled")
    assert (finding.known, finding.settles) == ("observed", ("mixed",))
    new = edited(finding.remedies[0], text)
    assert "    x, y = x[order], y[order]\n    for i in range" in new
    assert _found(tape_of(new, tmp_path), "not-shuffled") == []


def test_shuffling_is_replayed_together_with_another_remedy(tmp_path: Path) -> None:
    tape = tape_of(SORTED.format(decay=3), tmp_path)
    (finding,) = _found(tape, "not-shuffled")
    bench = Bench(tape)
    skill = lambda *remedies: float(bench.treat(remedies).skill().median())
    order, decay = finding.remedies[0], SetWeightDecay(0.0)
    assert skill(order, decay) > max(skill(order), skill(decay)) + 0.3


PREPARED = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(500, 5) * torch.tensor([40.0, 0.3, 18.0, 1.0, 4.0]) + torch.tensor([140.0, 2.8, 1985.0, 0.0, 3.0])
y = (x[:, 0] - 140) / 40
mean, std = x[:400].mean(0), x[:400].std(0)
model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(5):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model((x[rows] - mean) / std).squeeze(1), y[rows])
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    print(nn.functional.mse_loss(model({judged}).squeeze(1), y[400:]).item())
"""


def test_raw_held_out_rows_are_seen_on_the_tape(tmp_path: Path) -> None:
    (finding,) = _found(tape_of(PREPARED.format(judged="x[400:]"), tmp_path), "preprocess-mismatch")
    assert finding.effect.word == "proven"
    assert _found(tape_of(PREPARED.format(judged="(x[400:] - mean) / std"), tmp_path), "preprocess-mismatch") == []
