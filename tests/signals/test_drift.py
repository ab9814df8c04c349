"""Inputs that drift away over the training, and augmentation that does not add up."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from tests.scripts import edited
from unstuck.signals.drift import Drift

STORE = """
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Pictures(Dataset):
    def __init__(self, count, noise):
        rng = np.random.default_rng(count)
        self.x = rng.normal(size=(count, 1, 6, 6)).astype(np.float32)
        self.y = (self.x[:, 0, :3].sum((1, 2)) > self.x[:, 0, 3:].sum((1, 2))).astype(np.int64)
        self.noise, self.rng = noise, rng

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = self.x[i]{copied}
        if self.noise:
            x += self.rng.normal(0, self.noise, x.shape).astype(np.float32)
        return torch.from_numpy(x), int(self.y[i])


train, test = Pictures(300, {noise}), Pictures(120, 0)
net = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
for epoch in range(12):
    for x, y in DataLoader(train, 30, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
with torch.no_grad():
    for x, y in DataLoader(test, 60):
        print((net(x).argmax(1) == y).float().mean().item())
"""


def test_noise_that_is_written_into_the_store_adds_up(record: Record, findings: Findings) -> None:
    tape = record(STORE.format(copied="", noise=0.6))
    found = Drift.read(tape)
    assert found.drifts and found.leaves and found.name == "standard deviation"
    (finding,) = findings(tape, "data-mutated")
    assert finding.known == "read"
    assert finding.site is not None and "+=" in STORE.splitlines()[finding.site.line - 1]
    new = edited(finding.remedies[0], STORE.format(copied="", noise=0.6))
    assert "x = copy.deepcopy(self.x[i])" in new
    assert not Drift.read(record(new)).drifts


AUGMENTED = STORE.replace("class Pictures", "{erase}class Pictures").replace(
    "            x += self.rng.normal(0, self.noise, x.shape).astype(np.float32)\n",
    "            x = erased(x, self.rng)\n",
)
ERASED = """def erased(x, rng):
    \"\"\"Without one of its pixels.\"\"\"
    row, column = rng.integers(0, 6, 2)
    x[:, row, column] = 0.0
    return x


"""


def test_pixels_that_are_erased_in_the_store_are_gone_for_good(record: Record, findings: Findings) -> None:
    text = AUGMENTED.format(copied="", noise=1, erase=ERASED)
    (finding,) = findings(record(text), "data-mutated")
    assert finding.site is not None and "= 0.0" in text.splitlines()[finding.site.line - 1]
    new = edited(finding.remedies[0], text)
    assert "    x = copy.deepcopy(x)\n    row, column" in new
    assert not Drift.read(record(new)).drifts


@pytest.mark.parametrize("noise", [0, 0.6])
def test_noise_on_copies_does_not(record: Record, findings: Findings, noise: float) -> None:
    tape = record(STORE.format(copied=".copy()", noise=noise))
    assert not Drift.read(tape).drifts
    assert findings(tape, "data-mutated") == []
