"""The mutation operators: each finds its place in an ordinary script, and makes one mistake there."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.field.mutant_rows import Row, fate, near, tables
from benchmarks.field.mutants import Terms, order, trials, turns
from benchmarks.field.operators import OPERATORS, Operator
from benchmarks.field.programs import Program
from benchmarks.field.text import Text
from tests.recorded import Record

SCRIPT = """\
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(48, 4)  # "é" counts as one character
y = (x @ torch.randn(4, 3)).argmax(1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        h = self.a(x)
        h = F.relu(h)
        h = self.drop(h)
        return self.b(h)

net = Net()
rows = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(2):
    net.train()
    for data, target in rows:
        optimizer.zero_grad()
        output = net(data)
        loss = F.cross_entropy(output, target)
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        print((net(x).log_softmax(1).argmax(1) == y).float().mean().item())
        print(F.softmax(net(x), dim=1).max())
"""


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_each_operator_changes_an_ordinary_script_which_still_runs(operator: Operator, record: Record) -> None:
    mutant = operator.mutant(SCRIPT)
    assert mutant is not None
    ast.parse(mutant.text)
    old, new = SCRIPT.splitlines(), mutant.text.splitlines()
    if len(old) == len(new):
        assert {n for n, (a, b) in enumerate(zip(old, new, strict=True), 1) if a != b} == set(mutant.lines)
    assert record(mutant.text).stopped == "script ended"


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_no_operator_changes_what_trains_nothing(operator: Operator) -> None:
    assert operator.mutant("import torch\nprint(torch.ones(3).sum())\n") is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("labels-permuted", "F.cross_entropy(output, target[torch.randperm(len(target))])"),
        ("inputs-scaled-in-training", "output = net((data) * 30)"),
        ("rate-times-1000", "lr=(0.01) * 1000)"),
        ("plain-descent", "torch.optim.SGD(net.parameters(), lr=0.01)"),
        ("ascent", "(-loss).backward()"),
        ("graph-cut", "h = F.relu(h).detach()"),
        ("softmax-twice", "F.cross_entropy(output.softmax(-1), target)"),
        ("trained-in-eval-mode", "    net.eval()\n    for data"),
        ("first-weights-zero", "for weight in net.parameters(): weight.data.zero_()\noptimizer"),
    ],
)
def test_the_mistake_is_the_one_that_was_meant(name: str, change: str) -> None:
    mutant = next(o for o in OPERATORS if o.name == name).mutant(SCRIPT)
    assert mutant is not None
    assert change in mutant.text


def test_a_changed_text_keeps_everything_else() -> None:
    page = Text('print("é"); print(1)\n')
    second = page.calls("print")[1]
    assert page.code(second) == "print(1)"
    assert page.changed([page.instead(second, "pass")]) == 'print("é"); pass\n'


def test_a_result_is_worse_beyond_the_margin_only() -> None:
    program = Program("a", "b", Path(), (), score=r"accuracy ([\d.]+)", margin=0.1)
    assert program.result("accuracy 0.5\naccuracy 0.75\n") == 0.75
    assert program.result("nothing") is None
    assert [program.worse(value, 0.9) for value in (0.85, 0.7, None, float("nan"))] == [False, True, True, True]
    lower = Program("a", "b", Path(), (), better="lower", margin=0.1)
    assert [lower.worse(value, 0.9) for value in (0.95, 1.1, 0.1)] == [False, True, False]


def test_the_fate_of_a_mutant_is_its_own_finding_first() -> None:
    found = [{"fault": "no-step", "role": "hint"}, {"fault": "lr-too-low", "role": "cause"}]
    assert fate(found, ("lr-too-low",)) == "cause"
    assert fate(found, ("no-step",)) == "other cause"
    assert fate(found[:1], ("no-step",)) == "hint"
    assert fate([], ("no-step",)) == "missed"
    assert near(12, (9, 30)) and not near(13, (9, 30))


def test_the_tables_count_what_hurts() -> None:
    rows = [
        Row("p", "o", "harmless"),
        Row("p", "o", "cause", line_right=True, mended=True, cost=2.0),
        Row("p", "u", "missed"),
    ]
    assert "| o | 2 | 0 | 1 | 1 | 1 | 1 | 1 | 1 | x2.0 |" in tables(rows)
    assert "| all | 3 | 0 | 1 | 2 | 1 | 1 | 1 | 1 | x2.0 |" in tables(rows)


def test_a_seed_draws_an_order_for_each_program_and_leaves_out_what_is_done(tmp_path: Path) -> None:
    terms = Terms(tmp_path, seed=1)
    assert order("a", Terms(tmp_path)) == list(OPERATORS)
    drawn = order("a", terms)
    assert drawn != list(OPERATORS) and sorted(drawn, key=OPERATORS.index) == list(OPERATORS)
    assert order("a", terms) == drawn != order("b", terms)
    done = replace(terms, done=(Row("a", drawn[0].name, "harmless"),))
    assert drawn[0] not in order("a", done) and len(order("b", done)) == len(OPERATORS)


def test_programs_take_turns_at_a_mutant_that_hurts() -> None:
    one = [Row("a", "1", "harmless"), Row("a", "2", "missed"), Row("a", "3", "cause"), Row("a", "4", "fails")]
    two = [Row("b", "1", "suspect")]
    assert [row.program + row.operator for row in turns(map(iter, (one, two)))] == ["a1", "a2", "b1", "a3", "a4"]


@pytest.mark.net
def test_mutants_are_tried_until_enough_of_them_hurt_and_their_diagnoses_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "main.py").write_text(SCRIPT.replace("range(2)", "range(40)"))
    program = Program("small", "here", folder, ("main.py",), score=r"(?m)^([01]\.\d+)$", margin=0.1)
    names = ("step-missing", "ascent", "labels-permuted")
    terms = Terms(tmp_path / "scratch", options=("--no-prove",), names=names, hurting=1, keep=tmp_path / "kept")
    (row,) = trials(program, terms)
    assert (row.operator, row.fate, row.line_right) == ("labels-permuted", "suspect", True)
    diff = (tmp_path / "kept/small.labels-permuted.diff").read_text()
    assert "+        loss = F.cross_entropy(output, target[" in diff
    assert json.loads((tmp_path / "kept/small.labels-permuted.json").read_text())["state"] == row.state
