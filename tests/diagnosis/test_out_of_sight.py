"""What stands behind a weak run without showing in its step: a linear model, a network out of the graph, mixed rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.recorded import tape_of
from tests.scripts import edited, run
from unstuck.diagnosis.comparison import Comparison, Conviction
from unstuck.diagnosis.convict import convict
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.recount import retold
from unstuck.diagnosis.verdict import judge
from unstuck.diagnosis.widening import widened
from unstuck.remedies.add_hidden import AddHidden
from unstuck.remedies.clip_gradients import ClipGradients
from unstuck.remedies.hold_parameters import HoldParameters
from unstuck.remedies.widen import Widen
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.signals.samples import Samples
from unstuck.signals.task import Task
from unstuck.source.text import Sources
from unstuck.tape.model import Tape

LINEAR = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(900, 4)
y = {target}
model = {model}
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(15):
    for rows in torch.randperm(900).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
CIRCLE = "(x[:, 0] ** 2 + x[:, 1] ** 2 > 1.4).long()"

APART = """
import torch
from torch import nn

torch.manual_seed(1)
x = torch.randn(800, 12)
y = (x[:, 0] * x[:, 1] > 0).long()
encoder, head = nn.Sequential(nn.Linear(12, 3), nn.Tanh()), nn.Linear(3, 2)
optimizer = torch.optim.Adam([*{held}], lr=0.01)


def scaled(codes):
    return {way}


for epoch in range(8):
    for rows in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(scaled(encoder(x[rows]))), y[rows])
        loss.backward()
        optimizer.step()
"""
NUMPY = "torch.from_numpy(codes.detach().numpy() * 2)"
BOTH = "encoder.parameters(), *head.parameters()"

ATTENTION = """
import torch
from torch import nn

torch.manual_seed(2)
x = torch.randn(480, 6, 8)
y = x[torch.arange(480), 0].argmax(1)
embed, head = nn.Linear(8, 8), nn.Linear(8, 8)
optimizer = torch.optim.Adam([*embed.parameters(), *head.parameters()], lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(480).split({batch}):
        h = embed(x[rows])
        mixed = torch.softmax(h @ h.transpose(1, 2), dim={dim}) @ h
        loss = nn.functional.cross_entropy(head(mixed[:, 0] + h[:, 0]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def found(tape: Tape, fault: str) -> list[Finding]:
    return examine(Readings(tape), {fault: catalogue()[fault]})[0]


def test_a_linear_model_of_a_circle_gets_a_hidden_layer(tmp_path: Path) -> None:
    text = LINEAR.format(target=CIRCLE, model="nn.Linear(4, 2)")
    tape = tape_of(text, tmp_path)
    (finding,) = found(tape, "under-capacity")
    conviction = convict(Bench(tape), [finding])
    assert [r.name for r in conviction.remedies] == ["add-hidden"]
    assert "nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))" in edited(conviction.remedies[0], text)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("(x[:, 0] > x[:, 1]).long()", "nn.Linear(4, 2)"),
        ("((x[:, 0] + 0.8 * torch.randn(900)) > 0).long()", "nn.Linear(4, 2)"),
        (CIRCLE, "nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))"),
    ],
)
def test_a_linear_model_of_something_straight_is_let_be(tmp_path: Path, target: str, model: str) -> None:
    tape = tape_of(LINEAR.format(target=target, model=model), tmp_path)
    assert not convict(Bench(tape), found(tape, "under-capacity")).remedies


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Linear(4, 2)", "nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))"),
        (
            "nn.Linear(out_features=2, in_features=4, bias=False)",
            "nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2, bias=False))",
        ),
        ("nn.Linear(4, out_features=2)", "nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))"),
    ],
)
def test_a_linear_layer_becomes_two(before: str, after: str) -> None:
    new = edited(AddHidden("model.weight", 16), LINEAR.format(target=CIRCLE, model=before))
    assert f"model = {after}\n" in new
    run(new)


def test_a_bottleneck_is_widened_and_nothing_else(tmp_path: Path) -> None:
    layers = "nn.Linear(4, 1), nn.Tanh(), nn.Linear(1, 200), nn.Tanh(), nn.Linear(200, 2)"
    text = LINEAR.format(target=CIRCLE, model=f"nn.Sequential({layers})")
    (finding,) = found(tape_of(text, tmp_path), "under-capacity")
    assert "all goes through the one unit" in finding.message
    assert finding.remedies == (Widen(64),)
    wide = layers.replace("4, 1)", "4, 64)").replace("Linear(1,", "Linear(64,")
    assert f"nn.Sequential({wide})" in edited(Widen(64), text)


def test_a_network_whose_results_leave_the_graph(tmp_path: Path) -> None:
    (finding,) = found(tape_of(APART.format(held=BOTH, way=NUMPY), tmp_path), "graph-detached")
    assert finding.demonstrated
    assert "encoder.0" in finding.message


@pytest.mark.parametrize(("held", "way"), [(BOTH, "codes * 2"), ("head.parameters()", NUMPY)])
def test_a_network_in_the_graph_or_held_by_no_optimizer_is_let_be(tmp_path: Path, held: str, way: str) -> None:
    assert not found(tape_of(APART.format(held=held, way=way), tmp_path), "graph-detached")


@pytest.mark.parametrize(("dim", "batch", "sure"), [(0, 40, True), (1, 40, False), (2, 40, None)])
def test_attention_over_the_batch_is_certain(tmp_path: Path, dim: int, batch: int, sure: bool | None) -> None:
    findings = found(tape_of(ATTENTION.format(dim=dim, batch=batch), tmp_path), "softmax-dim")
    assert [bool(f.demonstrated) for f in findings] == ([] if sure is None else [sure])


HOLD, CENTRE, BEND = HoldParameters(("w",)), ClipGradients(), Widen(8)  # stand-ins: only their names matter here
REACHED = {frozenset({BEND}): 0.65, frozenset({CENTRE}): 0.47, frozenset({HOLD}): 0.3}
"""A run of 0.2 whose ReLUs die of raw inputs, while half of its weights are held by nobody."""


def experiment(remedies: tuple[Any, ...], faults: tuple[str, ...], skills: dict[frozenset[Any], float]) -> Comparison:
    reached = skills[frozenset(remedies)]
    curve = torch.tensor([reached + 0.01 * n for n in range(8)])
    outcome = judge([0.2 + 0.01 * n for n in range(8)], curve.tolist())
    task = SimpleNamespace(task=Task("classes", 0, 1, 2))
    return Comparison(remedies, faults, outcome, SimpleNamespace(course=task, skill=lambda *part: curve))


@pytest.mark.parametrize(("together", "faults"), [(0.9, {"input-offset", "optimizer-params"}), (0.4, {"dead-relu"})])
def test_what_sets_a_mechanism_going_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, together: float, faults: set[str]
) -> None:
    skills = {
        **REACHED,
        frozenset({CENTRE, HOLD}): together,
        frozenset({BEND, CENTRE}): 0.65,
        frozenset({BEND, HOLD}): 0.65,
        frozenset({BEND, CENTRE, HOLD}): 0.65,
    }
    monkeypatch.setattr(
        "unstuck.diagnosis.widening.compare", lambda bench, remedies, named: experiment(remedies, named, skills)
    )
    singles = {HOLD: "optimizer-params", CENTRE: "input-offset", BEND: "dead-relu"}
    done = Conviction(None, [experiment((remedy,), (fault,), skills) for remedy, fault in singles.items()])
    chosen = widened(SimpleNamespace(), done.tried[-1], done, lambda _: None)
    assert chosen is not None
    assert set(chosen.faults) == faults


def test_running_statistics_are_no_part_of_the_rows(tmp_path: Path) -> None:
    normed = LINEAR.replace("print(loss.item())", "").format(
        target=CIRCLE, model="nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))"
    )
    looked = normed.replace("    for rows", "    model.eval(), model(x[:90]), model.train()\n    for rows")
    assert Samples.read(tape_of(looked, tmp_path)).distinct == 900


TABLE = """
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

table = pd.DataFrame({{"a": range(60), "score": [1 + n % 2 for n in range(60)]}})
x = torch.tensor(table[["a"]].values, dtype=torch.float32)
y = torch.tensor(table["score"].to_numpy(), dtype=torch.float32)
model, criterion = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0)), nn.BCEWithLogitsLoss()
{loop}
    loss = criterion(model(xb), yb)
    loss.backward()
"""
SPLIT = "train, test = random_split(TensorDataset(x, y), [40, 20])\nfor xb, yb in DataLoader(train, batch_size=10):"
ORDERED = "for rows in torch.randperm(60).split(10):\n    xb, yb = x[rows], y[rows]"


@pytest.mark.parametrize("loop", [SPLIT, ORDERED])
def test_targets_of_a_table_are_recoded_where_it_is_read(loop: str, tmp_path: Path) -> None:
    text = TABLE.format(loop=loop)
    (finding,) = found(tape_of(text, tmp_path), "label-range")
    new = finding.remedies[0].edit(Sources({"train.py": text}, "train.py")).files["train.py"]
    assert '\ntable["score"] = table["score"] - 1\n' in new
    run(new)


PICKED = """
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
x = rng.normal(size=(160, 400))
y = (x[:, 3] + rng.normal(size=160) > 0).astype(np.int64)


def best(rows, labels):
    return np.argsort(-np.abs((rows - rows.mean(0)).T @ (labels - labels.mean())))[:20].copy()


order = rng.permutation(160)
{split}
chosen = best({given})
x = x[:, chosen]
xt, yt = torch.tensor(x[train], dtype=torch.float32), torch.tensor(y[train])
xv, yv = torch.tensor(x[test], dtype=torch.float32), torch.tensor(y[test])
model = nn.Linear(20, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(xt), yt)
    loss.backward()
    optimizer.step()
print("accuracy", (model(xv).argmax(1) == yv).float().mean().item())
"""


@pytest.mark.parametrize("split", ["train, test = order[:100], order[100:]", "train = order[:100]\ntest = order[100:]"])
@pytest.mark.parametrize(("given", "leaks"), [("x, y", True), ("x[train], y[train]", False)])
def test_columns_chosen_by_the_labels_of_all_rows(tmp_path: Path, split: str, given: str, leaks: bool) -> None:
    findings = found(tape_of(PICKED.format(split=split, given=given), tmp_path), "eval-leak")
    assert [f.severity for f in findings] == ["error"] * leaks
    for finding in findings:
        new = edited(finding.remedies[0], PICKED.format(split=split, given=given))
        assert new == PICKED.format(split=split, given="x[train], y[train]")


def test_columns_chosen_before_a_slice_names_the_training_rows(tmp_path: Path) -> None:
    sliced = PICKED.format(split="", given="x, y").replace("x[train]", "x[:100]").replace("x[test]", "x[100:]")
    sliced = sliced.replace("xt, yt", "x_train, y_train").replace("(xt)", "(x_train)").replace(", yt)", ", y_train)")
    sliced = sliced.replace("y[train]", "y[:100]").replace("y[test]", "y[100:]")
    (finding,) = found(tape_of(sliced, tmp_path), "eval-leak")
    assert "chosen = best(x[:100], y[:100])\n" in edited(finding.remedies[0], sliced)


def test_a_score_that_falls_without_the_leak_proves_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    split = "train, test = order[:100], order[100:]"
    leaky = tape_of(PICKED.format(split=split, given="x, y"), tmp_path / "a")
    honest = tape_of(PICKED.format(split=split, given="x[train], y[train]"), tmp_path / "b")
    told = retold(leaky, honest, ("eval-leak",))
    assert told is not None
    assert told.word == "heals"
    assert retold(honest, leaky, ("eval-leak",)) is None
