"""A compiled program runs as under Python, and leaves the program of its eager code on the tape."""

from __future__ import annotations

import msgspec
import pytest
import torch
import torch._dynamo
from torch._dynamo.utils import counters

from tests.recorded import Record
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

NET = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(3)
rows = torch.randn(64, 6)
labels = (rows[:, 0] > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)
        self.register_buffer("scale", torch.full((6,), 0.5))

    def forward(self, x):
        x = x * self.scale + torch.arange(6) / 6
        h = torch.zeros(len(x), 8)
        h[:, :] = self.a(x)
        return self.b(F.dropout(F.relu(self.norm(h)), 0.1, self.training))


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
"""
LOOP = """
out = []
for step in range(6):
    x, y = rows[step * 8 : step * 8 + 8], labels[step * 8 : step * 8 + 8]
    loss = train(x, y)
    out.append(loss.item())
net.eval()
with torch.no_grad():
    scores = model(rows)
out.append((scores.argmax(1) == labels).float().mean().item())
out.append(torch.rand(1).item())
"""
STEP = """
def train(x, y):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    {step}
    return loss
"""
STYLES = {
    "eager": "model = net" + STEP.format(step="optimizer.step()"),
    "a module": "model = torch.compile(net, backend={backend!r})" + STEP.format(step="optimizer.step()"),
    "a module in place": "net.compile(backend={backend!r})\nmodel = net" + STEP.format(step="optimizer.step()"),
    "the loss": """
model = net


@torch.compile(backend={backend!r}, fullgraph=True)
def lossof(x, y):
    return F.cross_entropy(model(x), y)


def train(x, y):
    loss = lossof(x, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
""",
    "the whole step": "model = net\n\n\n@torch.compile(backend={backend!r})" + STEP.format(step="optimizer.step()"),
    "the optimizer": "model = net\nadvance = torch.compile(optimizer.step, backend={backend!r})\n"
    + STEP.format(step="advance()"),
}


def _text(style: str, backend: str) -> str:
    return NET + STYLES[style].replace("{backend!r}", repr(backend)) + LOOP


def _plain(text: str) -> tuple[list[float], dict[str, int]]:
    """What the script computes, and how often Dynamo compiled."""
    torch._dynamo.reset()
    counters.clear()
    space: dict[str, object] = {"__name__": "__main__"}
    exec(compile(text, "train.py", "exec"), space)
    return space["out"], dict(counters["stats"])  # type: ignore[return-value]


def _recorded(text: str, record: Record) -> Tape:
    torch._dynamo.reset()
    counters.clear()
    return record(text + "\nprint(repr(out)[-380:])\n", seconds=1000.0)


def _said(tape: Tape) -> str:
    return tape.said[-1].line


def _calls(program: Program) -> list[object]:
    return [msgspec.structs.replace(call, sites=()) for call in program.calls]


@pytest.mark.parametrize("style", STYLES)
def test_a_compiled_program_computes_the_same_and_is_compiled_as_often(style: str, record: Record) -> None:
    text = _text(style, "eager")
    out, compiled = _plain(text)
    tape = _recorded(text, record)
    assert _said(tape) == repr(out)[-380:]
    assert dict(counters["stats"]) == compiled
    assert tape.notes == ()


@pytest.mark.parametrize("style", list(STYLES)[1:])
def test_the_tape_holds_the_program_of_the_eager_code(style: str, record: Record) -> None:
    eager = _recorded(_text("eager", "eager"), record)
    tape = _recorded(_text(style, "eager"), record)
    assert len(tape.passes) == tape.steps == len(tape.updates) == 6
    assert [o.name for o in tape.optimizers] == ["Adam"]
    assert [p.loss for p in tape.passes] == pytest.approx([p.loss for p in eager.passes])
    ours, theirs = (t.programs[t.passes[-1].program] for t in (tape, eager))
    names = dict(zip(ours.weights(), theirs.weights(), strict=True))
    assert [n.split(".", 1)[1] for n in names] == [n.split(".", 1)[1] for n in names.values()]
    assert [c.function for c in ours.calls] == [c.function for c in theirs.calls]
    assert [c.shape for c in ours.calls] == [c.shape for c in theirs.calls]
    assert [c.site for c in ours.calls[:-1]] == [c.site for c in theirs.calls[:-1]]
    assert all(ours.calls[-1].sites)
    for slot, key in enumerate(tape.passes[0].outside):
        torch.testing.assert_close(tape.tensors[key], eager.tensors[eager.passes[0].outside[slot]])
    assert len(tape.evaluations) == len(eager.evaluations) == 1
    assert bool(tape.evaluations[0].output)
    assert len(_calls(ours)) == ours.loss + 1


PARTS = {
    "a break": "print('x')",
    "a function that is not compiled": "h = apart(h)",
    "noise": "h = h + torch.randn(len(h), 2)",
    "another forward": "with torch.no_grad():\n        mean = net(x).mean()\n    h = h - mean",
    "checkpointing": "h = torch.utils.checkpoint.checkpoint(torch.sin, h, use_reentrant=False)",
    "lower precision": "with torch.autocast('cpu', dtype=torch.bfloat16):\n        h = net(x).float()",
}
AROUND = """
import torch
import torch.utils.checkpoint
from torch import nn

torch.manual_seed(0)
rows = torch.randn(40, 3)
net = nn.Linear(3, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)


@torch.compiler.disable
def apart(h):
    return torch.tanh(h)


@torch.compile(backend="eager")
def model(x):
    h = net(x)
    {part}
    return h * 2


out = []
for step in range(4):
    loss = model(rows[step * 8 : step * 8 + 8]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    out.append(loss.item())
with torch.inference_mode():
    out.append(model(rows).sum().item())
out.append(torch.rand(1).item())
"""


@pytest.mark.parametrize("part", PARTS)
def test_what_a_compiled_function_holds_is_recorded_as_in_eager_code(part: str, record: Record) -> None:
    text = AROUND.replace("{part}", PARTS[part])
    out, compiled = _plain(text)
    tape = _recorded(text, record)
    assert _said(tape) == repr(out)[-380:]
    assert dict(counters["stats"]) == compiled
    eager = _recorded(text.replace('@torch.compile(backend="eager")\n', ""), record)
    ours, theirs = ({c.name for c in t.programs[t.passes[-1].program].calls} for t in (tape, eager))
    assert ours - {"randn"} == theirs  # the numbers that were drawn inside the graph are not to be had: it draws anew
    assert not tape.programs[tape.passes[-1].program].missing
    assert tape.notes == ()


def test_a_function_that_cannot_be_read_is_said_to_be(record: Record) -> None:
    text = AROUND.replace("{part}", "h = Twice.apply(h)").replace(
        "@torch.compile(",
        """class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        return h * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


@torch.compile(""",
    )
    out, _ = _plain(text)
    tape = _recorded(text, record)
    assert _said(tape) == repr(out)[-380:]
    assert tape.notes == ("a compiled function could not be read: it calls autograd_function_apply",)
    assert tape.programs[tape.passes[-1].program].missing
    assert len(tape.passes) == len(tape.updates) == 4


@pytest.mark.net
def test_once_the_tape_is_full_compiled_steps_are_counted(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.recording.full_steps.PASSES", 2)
    for style in ("a module", "the whole step", "the optimizer"):
        text = _text(style, "eager")
        out, compiled = _plain(text)
        tape = _recorded(text, record)
        assert _said(tape) == repr(out)[-380:]
        assert dict(counters["stats"]) == compiled
        assert tape.steps == len(tape.losses) == 6
        assert len(tape.passes) == 2


def test_dynamo_is_left_as_it_was(record: Record) -> None:
    from torch._dynamo import eval_frame, output_graph

    names = (
        (eval_frame, "_maybe_set_eval_frame"),
        (eval_frame._TorchDynamoContext, "__init__"),
        (output_graph.OutputGraph, "call_user_compiler"),
        (torch.autograd, "backward"),
    )
    before = [getattr(owner, name) for owner, name in names]
    _recorded(_text("a module", "eager"), record)
    assert [getattr(owner, name) for owner, name in names] == before
    assert not torch.overrides._get_current_function_mode_stack()
