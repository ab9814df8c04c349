"""Inputs that enter beside something else, and axes that a reshape relabelled: told by the data, mended in the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import Record, tape_of
from tests.scripts import edited, run, site
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.experiment import Arm
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.verdict import judge
from unstuck.remedies.permute_inputs import PermuteInputs
from unstuck.remedies.permute_instead import PermuteInstead
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.signals.inputs import Inputs
from unstuck.tape.axes import regrouped, turned
from unstuck.tape.model import Tape

BESIDE = """
import torch
from torch import nn

torch.manual_seed(0)
kind = torch.randint(0, 5, (600,))
size = torch.randn(600, 3)
y = (size[:, 0] + 0.5 * kind > 1).long()
size = {scale} * size


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.one, self.two = nn.Linear(7, 24), nn.Linear(24, 2)

    def forward(self, k, x):
        z = torch.cat([self.words(k), x], dim=1)
        return self.two(torch.tanh(self.one(z)))


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for step in range(150):
    rows = torch.randint(0, 600, (40,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(kind[rows], size[rows]), y[rows])
    loss.backward()
    optimizer.step()
"""
TWICE = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6, 2)
y = x[:, -1, 0] + x[:, 0, 1]
x = 3000 * x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(2, 12, batch_first=True), nn.Linear(14, 1)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.head(torch.cat([states[:, -1], x[:, -1]], 1)).squeeze(1)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
for step in range(120):
    rows = torch.randint(0, 400, (40,))
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x[rows]), y[rows])
    loss.backward()
    optimizer.step()
"""
SERIES = """
import torch
from torch import nn

torch.manual_seed(0)
time = torch.arange(30.0)
y = torch.randint(0, 3, (400,))
pace = torch.where(torch.arange(4) == y[:, None], 0.2, 0.8)[:, None]
x = torch.sin(6 * torch.rand(400, 1, 4) + time[None, :, None] * pace) + 0.3 * torch.randn(400, 30, 4)
net = nn.Sequential(nn.Conv1d(4, 12, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 3))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)


def shaped(rows):
    return {shaped}


for step in range(120):
    rows = torch.randint(0, 400, (40,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(shaped(x[rows])), y[rows])
    loss.backward()
    optimizer.step()
"""


def _found(tape: Tape, fault: str) -> list[Finding]:
    found, _ = examine(Readings(tape), {fault: catalogue()[fault]})
    return found


def _word(tape: Tape, finding: Finding) -> str:
    bench = Bench(tape)
    assert bench.why == ""
    arms = [Arm(lanes=tuple(r.skill().tolist())) for r in (bench.written, bench.treat(finding.remedies[:1]))]
    return judge(*arms, steps=len(bench.course.passes)).word


def test_numbers_that_enter_beside_an_embedding_are_inputs(tmp_path: Path) -> None:
    text = BESIDE.format(scale=500)
    tape = tape_of(text, tmp_path)
    (finding,) = _found(tape, "input-scale")
    assert finding.site is not None
    assert text.splitlines()[finding.site.line - 1] == "size = 500 * size"  # where the numbers were made
    assert _word(tape, finding) in ("heals", "helps")
    new = edited(finding.remedies[0], text)
    assert "torch.cat([self.words(k), (x - " in new
    run(new)


def test_they_are_left_alone_in_good_units(tmp_path: Path) -> None:
    tape = tape_of(BESIDE.format(scale=1), tmp_path)
    assert len(Inputs.read(tape).inputs) == 1
    assert _found(tape, "input-scale") == []


def test_what_is_joined_elsewhere_cannot_be_wrapped() -> None:
    text = BESIDE.format(scale=500).replace("torch.cat([self.words(k), x], dim=1)", "torch.cat(parts, dim=1)")
    place = site(text, "torch.cat(parts, dim=1)")
    with pytest.raises(Exception, match="built elsewhere"):
        edited(StandardiseInputs(0, (0.0,), (2.0,), sites=(place,), positions=(1,)), text)


@pytest.mark.net
def test_an_input_that_enters_twice_is_standardised_twice(tmp_path: Path) -> None:
    tape = tape_of(TWICE, tmp_path)
    found = _found(tape, "input-scale")
    assert len(found) == 2
    (remedy,) = {f.remedies[0] for f in found}
    assert _word(tape, found[0]) == "heals"
    new = edited(remedy, TWICE)
    assert "self.rnn((x - " in new
    assert ", (x[:, -1] - " in new
    run(new)


@pytest.mark.parametrize("shaped", ["rows.reshape(-1, 4, 30)", "rows.view((len(rows), 4, 30))"])
def test_a_reshape_in_the_place_of_a_permute(shaped: str, tmp_path: Path) -> None:
    text = SERIES.format(shaped=shaped)
    tape = tape_of(text, tmp_path)
    (finding,) = _found(tape, "axes-swapped")
    assert _word(tape, finding) == "heals"
    new = edited(finding.remedies[0], text)
    assert _found(tape_of(new, tmp_path), "axes-swapped") == []


def test_a_permute_is_no_fault(tmp_path: Path) -> None:
    assert _found(tape_of(SERIES.format(shaped="rows.permute(0, 2, 1)"), tmp_path), "axes-swapped") == []


def test_noise_has_no_axes(tmp_path: Path) -> None:
    text = SERIES.format(shaped="rows.reshape(-1, 4, 30)").replace("for step", "x = torch.randn(400, 30, 4)\nfor step")
    assert _found(tape_of(text, tmp_path), "axes-swapped") == []


@given(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5), st.integers(2, 5), st.booleans(), st.booleans())
def test_the_patch_reads_the_memory_as_the_replay_does(
    rows: int, a: int, b: int, c: int, flat: bool, first: bool
) -> None:
    shape = (rows, a, b) if flat else (rows, a, b, c)
    text = f"y = x.reshape({', '.join(map(str, shape))})\n"
    new = edited(PermuteInputs(0, shape, first), text)
    x = np.arange(np.prod(shape))
    for given_ in (x, torch.from_numpy(x)):
        scope: dict = {"x": given_}
        exec(new, scope)
        assert np.array_equal(np.asarray(scope["y"]), turned(torch.from_numpy(x).reshape(shape), first).numpy())


def test_reshapes_between_layers_become_permutations() -> None:
    text = "def forward(self, x):\n    return self.rnn(self.conv(x).view(x.size(0), 24, 20))\n"
    place = site(text, "self.conv(x).view(x.size(0), 24, 20)")
    meant = regrouped((8, 20, 24), (8, 24, 20))
    assert meant is not None
    assert "self.rnn(self.conv(x).permute(0, 2, 1))" in edited(PermuteInstead((place,), (meant,)), text)


STATES = """
import torch
from torch import nn

torch.manual_seed(0)
gru, fc = nn.GRU(4, 8, batch_first=True, bidirectional=True), nn.Linear(16, 3)
x = torch.randn(176, 5, 4)
y = x[:, -1, :3].argmax(1)
optimizer = torch.optim.Adam([*gru.parameters(), *fc.parameters()], lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(176).split(32):
        _, h = gru(x[rows])
        h = h.view(-1, 16)
        loss = nn.functional.cross_entropy(fc(h), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def test_states_of_two_directions_are_joined_by_a_patch_that_fits_a_smaller_last_batch(tmp_path: Path) -> None:
    tape = tape_of(STATES, tmp_path)
    (finding,) = _found(tape, "axes-swapped")
    assert _word(tape, finding) == "heals"
    new = edited(finding.remedies[0], STATES)
    assert "h = h.permute(1, 0, 2).reshape(-1, 16)" in new
    run(new)


HEADS = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randint(0, 5, (600, 6))
y = (x[:, 0] == x[:, 3]).float()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(30, 16)
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.head = nn.Linear(96, 1)

    def split(self, h):
        n = len(h)
        return {split}

    def forward(self, x):
        h = self.table(x + 5 * torch.arange(6))
        q, k, v = self.split(self.query(h)), self.split(self.key(h)), self.split(self.value(h))
        mixed = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(2), v)
        n = len(h)
        mixed = {merge}
        return self.head(torch.relu(mixed + h).flatten(1)).squeeze(1)


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for epoch in range(25):
    for rows in torch.randperm(600).split(60):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""
CUT = HEADS.format(split="h.view(n * 2, 6, 8)", merge="mixed.view(n, 6, 16)")
MOVED = HEADS.format(
    split="h.view(n, 6, 2, 8).transpose(1, 2).reshape(n * 2, 6, 8)",
    merge="mixed.view(n, 2, 6, 8).transpose(1, 2).reshape(n, 6, 16)",
)


def test_heads_that_are_split_by_a_view_alone(tmp_path: Path) -> None:
    tape = tape_of(CUT, tmp_path)
    found = _found(tape, "axes-swapped")
    assert [CUT.splitlines()[f.site.line - 1].strip() for f in found if f.site] == [
        "return h.view(n * 2, 6, 8)", "mixed = mixed.view(n, 6, 16)",
    ]  # fmt: skip
    assert _word(tape, found[0]) == "heals"
    new = edited(found[0].remedies[0], CUT)
    assert "return h.reshape(-1, 6, 2, 8).permute(0, 2, 1, 3).reshape(n * 2, 6, 8)" in new
    assert _found(tape_of(new, tmp_path), "axes-swapped") == []


def test_heads_that_are_moved_are_no_fault(tmp_path: Path) -> None:
    assert _found(tape_of(MOVED, tmp_path), "axes-swapped") == []


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data())
def test_joining_and_splitting_neighbouring_axes_leaves_nothing_out(parts: list[int], data: st.DataObject) -> None:
    shape, at = tuple(parts), data.draw(st.integers(0, len(parts) - 2))
    joined = (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
    assert regrouped(shape, joined) is None
    assert regrouped(joined, shape) is None


@given(st.permutations([2, 3, 5, 7]), st.permutations(range(4)))
def test_a_left_out_transposition_is_found(sizes: list[int], order: list[int]) -> None:
    meant = regrouped(tuple(sizes), tuple(sizes[n] for n in order))
    assert (meant.order if meant else tuple(sorted(order))) == tuple(order)


def test_running_statistics_of_a_frozen_norm_are_no_input(record: Record) -> None:
    text = """
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(200, 8), torch.randint(0, 2, (200,))
model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
model[1].running_mean.fill_(500.0)
model.train()
model[1].eval()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for rows in torch.randperm(200).split(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
    optimizer.step()
"""
    assert [entry.shape for entry in Inputs.read(record(text)).inputs] == [(20, 8)]
