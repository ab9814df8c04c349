"""The lines that clear, compute and spend gradients are on the tape in the order of their calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.recorded import Record
from unstuck.recording.loop_calls import MOST, PASSES
from unstuck.tape.files import load
from unstuck.tape.model import Tape

HEAD = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(80, 6)
model, other = nn.Sequential(nn.Linear(6, 4), nn.Dropout(), nn.Linear(4, 1)), nn.Linear(6, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
second = torch.optim.SGD(other.parameters(), lr=0.01)


class Wrapped:
    def __init__(self, optimizer):
        self.optimizer = optimizer

    def update(self):
        self.optimizer.step()
        self.optimizer.zero_grad()


wrapped = Wrapped(optimizer)


def closure():
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    return loss

"""
LOOP = """
for step in range({steps}):
    {lines}
print(sum(p.double().abs().sum() for p in model.parameters()).item().hex(), torch.rand(1).item().hex())
"""
FORWARD, BACKWARD, STEP = "loss = model(x).square().mean()", "loss.backward()", "optimizer.step()"


def script(*lines: str, steps: int = 6) -> str:
    """A loop over these lines, with a line at its end that a single other bit anywhere changes."""
    return HEAD + LOOP.format(steps=steps, lines="\n    ".join(lines))


def told(tape: Tape, text: str) -> list[tuple[str, str]]:
    """The calls: what each is, and the person's line nearest to it."""
    lines = [line.strip() for line in text.splitlines()]
    return [(c.kind, lines[c.site.line - 1] if c.site else "") for c in tape.facts.calls]


@pytest.mark.parametrize(
    "clear",
    [
        "optimizer.zero_grad()",
        "model.zero_grad()",
        "optimizer.zero_grad(set_to_none=False)",
        "model.zero_grad(set_to_none=False)",
        "for p in model.parameters(): p.grad = None",
        "for p in model.parameters(): p.grad is not None and p.grad.zero_()",
    ],
)
def test_every_way_to_clear_is_one_call(record: Record, clear: str) -> None:
    text = script(clear, FORWARD, BACKWARD, STEP)
    tape = record(text)
    first = [("backward", BACKWARD), ("step", STEP)]  # the first clearing finds nothing to clear
    assert told(tape, text) == first + 5 * [("clear", clear), *first]
    assert [c.after for c in tape.facts.calls[:6]] == [0, 1, 1, 1, 2, 2]
    assert [c.optimizer for c in tape.facts.calls[:5]] == [-1, 0, 0, -1, 0]
    orders = [c.order for c in tape.facts.calls]
    assert orders == sorted(set(orders)) and orders[0] == 1


def test_optimizers_have_their_numbers(record: Record) -> None:
    text = script(
        FORWARD, "loss = loss + other(x).mean()", "second.zero_grad()", "optimizer.zero_grad()", BACKWARD, STEP,
        "second.step()", "nn.ModuleList([model, other]).zero_grad()",
    )  # fmt: skip
    calls = record(text).facts.calls
    assert [(c.kind, c.optimizer) for c in calls[:6]] == [
        ("backward", -1), ("step", 0), ("step", 1), ("clear", -1), ("backward", -1), ("step", 0),
    ]  # fmt: skip


def test_a_step_in_a_class_of_theirs_has_the_lines_of_both(record: Record) -> None:
    text = script(FORWARD, BACKWARD, "wrapped.update()")
    calls = record(text).facts.calls
    lines = text.splitlines()
    assert [[lines[s.line - 1].strip() for s in c.sites] for c in calls[:3]] == [
        [BACKWARD], ["self.optimizer.step()", "wrapped.update()"], ["self.optimizer.zero_grad()", "wrapped.update()"],
    ]  # fmt: skip
    assert calls[1].sites[0].function == "Wrapped.update"


def test_a_closure_comes_before_its_step(record: Record) -> None:
    text = script("optimizer.step(closure)")
    kinds = [c.kind for c in record(text).facts.calls]
    assert kinds == ["backward", "step"] + 5 * ["clear", "backward", "step"]


def test_gradients_that_add_up_are_one_call(record: Record) -> None:
    text = script("for part in x.split(20): model(part).mean().backward()", STEP, "optimizer.zero_grad()")
    calls = record(text).facts.calls
    assert [c.kind for c in calls] == ["backward", "step", "clear"] * 6
    assert [c.order for c in calls[:4]] == [1, 5, 6, 7]


def test_calls_that_go_on_for_long_are_not_kept(record: Record) -> None:
    long = record(script("optimizer.zero_grad()", FORWARD, BACKWARD, STEP, steps=PASSES + 50))
    assert len(long.facts.calls) == MOST
    rare = f"if step % {PASSES - 1} == 0: optimizer.step()"
    late = record(script(FORWARD, BACKWARD, rare, steps=2 * PASSES + 50))
    assert [c.kind for c in late.facts.calls] == ["backward", "step", "backward"]


@pytest.mark.net
@pytest.mark.parametrize("last", [("wrapped.update()",), (STEP, "model.zero_grad(set_to_none=False)")])
def test_the_run_is_the_same_to_the_last_bit(tmp_path: Path, last: tuple[str, ...]) -> None:
    (tmp_path / "train.py").write_text(script(FORWARD, BACKWARD, *last, steps=40))
    plain = _ran(tmp_path, "train.py")
    recorded = _ran(tmp_path, "-m", "unstuck.recording", "--out", "tape", "--", "train.py")
    assert recorded == plain and plain.count("0x") == 2
    tape = load(tmp_path / "tape")
    assert len(tape.facts.calls) == MOST and not tape.notes


def _ran(folder: Path, *words: str) -> str:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=True).stdout
