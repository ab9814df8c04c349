"""What a step makes and nothing reads is found at its line; what anything reads, however it does, is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.tape.found_lines import Unread

SCRIPT = """
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.randn(120, 4)
y = (x[:, 0] > 0).long()
model, aside = nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 3), nn.ReLU())
optimizer = torch.optim.SGD([*model.parameters(), *aside.parameters()], lr=0.1)
kept = []
for epoch in range(6):
    for rows in torch.randperm(80).split(20):
        inputs = x[rows]
        out = model(inputs)
        {line}
        loss = F.cross_entropy(out, y[rows])
        {after}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
LINE = 1 + SCRIPT.splitlines().index("        {line}")


def unread(folder: Path, line: str, after: str = "pass") -> tuple[Unread, ...]:
    return tape_of(SCRIPT.format(line=line, after=after), folder).facts.unread


@pytest.mark.parametrize(
    ("line", "name", "gradient"),
    [
        ("F.relu(out)", "relu", True),
        ("out.masked_fill(inputs[:, :2] > 0, 0.0)", "masked_fill", True),
        ("penalty = sum(p.abs().sum() for p in model.parameters())", "add", True),
        ("hidden = aside(inputs)", "relu", True),
        ("weights = torch.tensor([1.0, 2.0])", "tensor", False),
        ("mask = inputs != 0", "ne", False),
        ("flags = inputs[:, 0]", "__getitem__", False),
        ("parts = inputs.chunk(2, 1)", "chunk", False),
    ],
)
def test_a_value_that_nothing_reads_is_found_at_its_line(tmp_path: Path, line: str, name: str, gradient: bool) -> None:
    (found,) = unread(tmp_path, line)
    assert (found.site.line, found.name, found.gradient) == (LINE, name, gradient)
    assert found.times >= 3


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("weights = torch.tensor([1.0, 2.0])", "loss = loss * weights.sum()"),
        ("weights = torch.tensor([1.0, 2.0])", "print(weights)"),
        ("weights = torch.tensor([1.0, 2.0])", "print(weights.tolist())"),
        ("weights = torch.tensor([1.0, 2.0])", "print(np.asarray(weights).sum())"),
        ("weights = torch.tensor([1.0, 2.0])", "kept.append(weights)"),
        ("first, second = inputs.chunk(2, 1)", "loss = loss + first.mean()"),
        ("out.clamp_(-3, 3)", "pass"),
        ("out = out.contiguous()", "pass"),
        ("right = (out.detach().argmax(1) == y[rows]).float().mean()", "pass"),
        ("mask = inputs > 0", "inputs[mask] = 0"),
        ("mask = inputs > 0", "kept += [1] if mask.any() else []"),
        ("lengths = torch.tensor([20])", "kept.append(range(int(lengths)))"),
    ],
)
def test_a_value_that_anything_reads_is_none(tmp_path: Path, line: str, after: str) -> None:
    assert unread(tmp_path, line, after) == ()


def test_a_value_that_is_read_now_and_then_is_none(tmp_path: Path) -> None:
    line = "weights = torch.tensor([1.0, 2.0])"
    assert unread(tmp_path, line, "kept.append(1); print(weights.sum()) if len(kept) % 3 == 0 else None") == ()


def test_a_function_of_a_library_may_make_what_it_does_not_use(tmp_path: Path) -> None:
    line = "found = __import__('torch').utils.data.default_collate([inputs[0], inputs[1]])"
    assert unread(tmp_path, line) == ()


TERMS = """for weight in (0.5, 1.0, 2.0):
            total {sign} weight * F.cross_entropy(out, y[rows])"""


def test_terms_of_a_loss_that_replace_each_other_are_found(tmp_path: Path) -> None:
    found = unread(tmp_path, TERMS.format(sign="=+"), "loss = loss + total")
    assert [(one.last_of, one.site.line, one.gradient) for one in found] == [(3, LINE + 1, True)]


@pytest.mark.parametrize(("line", "after"), [
    ("total = 0.0\n        " + TERMS.format(sign="+="), "loss = loss + total"),
    ("total = [F.cross_entropy(out, y[rows]) for _ in range(3)]", "loss = loss + sum(total)"),
    ("for at in range(3):\n            step = model(inputs + at)", "loss = loss + step.mean()"),
    ("for at in range(3):\n            step = model(inputs[:1])[:, :1]", "loss = loss + step.sum()"),
])  # fmt: skip
def test_sums_and_states_that_replace_each_other_are_used(tmp_path: Path, line: str, after: str) -> None:
    assert unread(tmp_path, line, after) == ()


@pytest.mark.parametrize("line", [
    "start = torch.zeros(4)", "none = torch.tensor(0)",
    "seen = torch.autograd.Variable(inputs[:-1]); out = out + 0 * model(seen).sum()",
])  # fmt: skip
def test_constants_and_other_names_of_one_memory_are_no_lost_work(tmp_path: Path, line: str) -> None:
    assert unread(tmp_path, line) == ()


def test_numbers_in_the_memory_of_a_value_that_is_gone_are_others(tmp_path: Path) -> None:
    line = "(lambda: torch.tensor([1.0] * 20) is None)()"
    after = "best = [model(inputs).detach().max(1)[0] for _ in range(300)]; loss = loss + 0 * sum(best).sum()"
    (found,) = unread(tmp_path, line, after)
    assert (found.name, found.shape) == ("tensor", (20,))
