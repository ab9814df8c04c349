"""Modes as they were recorded: whoever wrote the layers and the loop, and whether or not the text names the layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import Findings, Record
from tests.scripts import edited
from tests.whole import diagnosed
from unstuck.signals.modes import Modes
from unstuck.tape.modes import mode
from unstuck.tape.program import Call, Outside, Value

FAULT = "mode-error"
NETWORK = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        return self.layers(x)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(12, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.last(F.dropout(torch.relu(self.first(x)), 0.4, training=self.training))


class OwnStatistics(nn.Module):
    # Batch normalisation with a mode that its caller gives, as in meta-learning.

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(12, 32), nn.Linear(32, 2)
        self.register_buffer("mean", torch.zeros(32))
        self.register_buffer("variance", torch.ones(32))

    def forward(self, x, bn_training=True):
        h = F.batch_norm(self.first(x), self.mean, self.variance, training=bn_training)
        return self.last(torch.relu(h))


class Blind(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(12, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.last(F.dropout(torch.relu(self.first(x)), 0.4))


def normalised():
    return Net(nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2)))
"""
LOOP = """
torch.manual_seed(0)
x, y = torch.randn(160, 12), torch.randint(2, (160,))
model = {model}
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
{before}
for epoch in range(3):
    {start}
    for rows in torch.arange(120).split(20):
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    {end}
    with torch.no_grad():
        print({judged})
"""
PLAIN = "(model(x[120:]).argmax(1) == y[120:]).float().mean().item()"


def script(model: str, before: str = "", start: str = "pass", end: str = "pass", judged: str = PLAIN) -> str:
    return NETWORK + LOOP.format(model=model, before=before, start=start, end=end, judged=judged)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (script("Functional()", end="model.eval()"), "model.eval()"),
        (script("normalised()", before="model.train()", end="model.train(False)"), "model.train(False)"),
        (script("normalised().eval()"), "model = normalised().eval()"),
        (script("normalised()", before="for m in model.modules(): m.training = False"), "self.layers(x)"),
    ],
)
def test_training_in_evaluation_mode_is_observed(text: str, line: str, findings: Findings) -> None:
    (finding,) = findings(text, FAULT)
    assert finding.known == "observed"
    assert finding.site is not None
    place = text.splitlines()[finding.site.line - 1]
    assert line in place or "for epoch" in place
    assert "train()" in finding.message
    assert [r.name for r in finding.remedies] == ["train-mode"]


@pytest.mark.parametrize(
    "text",
    [
        script("normalised()", start="model.train()", end="model.eval()"),
        script("normalised()", start="model.train(); model.layers[1].eval()", end="model.eval()"),
        script("Functional()", judged="torch.stack([model(x[120:]) for _ in range(6)]).mean(0).sum()"),
        script("nn.Sequential(nn.Linear(12, 2))", end="model.eval()"),
        script("OwnStatistics()"),
        script("OwnStatistics()", end="model.eval()"),
    ],
)
def test_modes_that_are_meant_are_not_reported(text: str, findings: Findings) -> None:
    assert findings(text, FAULT) == []


@pytest.mark.parametrize("end", ["pass", "model.eval()"])
def test_no_switch_of_modules_is_advised_where_a_function_takes_none(end: str, findings: Findings) -> None:
    (finding,) = findings(script("Blind()", start="model.train()", end=end), FAULT)
    assert "does not get the module's mode" in finding.message
    assert [r.name for r in finding.remedies] == ["tell-mode"]


def test_an_evaluation_in_training_mode_is_reported_at_its_call(findings: Findings) -> None:
    text = script("normalised()")
    (finding,) = findings(text, FAULT)
    assert finding.site is not None
    assert "print(" in text.splitlines()[finding.site.line - 1]
    named = next(e.measured for e in finding.evidence if e.what == "layers that have modes")
    assert "model.layers.1" in str(named)


def test_steps_are_counted_by_the_modules_own_modes(record: Record) -> None:
    frozen = Modes.read(record(script("normalised()", start="model.train(); model.layers[1].eval()")))
    assert (frozen.steps, len(frozen.idle), frozen.partly) == (18, 0, 18)
    left = Modes.read(record(script("Functional()", end="model.eval()")))
    assert (left.steps, len(left.idle), left.idle[0]) == (18, 12, 6)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call("torch.nn.functional.dropout", (Value(0),), {"p": 0.5, "training": False}), False),
        (Call("torch.nn.functional.dropout", (Value(0), 0.0, True)), None),
        (Call("torch.nn.functional.alpha_dropout", (Value(0), 0.5)), False),
        (Call("torch.nn.functional.batch_norm", (Value(0), Outside(0), Outside(1)), {"training": True}), True),
        (Call("torch.nn.functional.batch_norm", (Value(0), None, None), {"training": True}), None),
        (Call("torch.batch_norm", (Value(0), None, None, Outside(0), Outside(1), True, 0.1, 1e-5, True)), True),
        (Call("torch.lstm", (Value(0), (Value(1),), [], True, 2, 0.5, False, False, True)), False),
        (Call("torch.lstm", (Value(0), (Value(1),), [], True, 1, 0.5, True, False, True)), None),
        (Call("torch.nn.functional.linear", (Value(0),)), None),
    ],
)
def test_the_mode_of_a_call_is_among_its_arguments(call: Call, expected: bool | None) -> None:
    assert mode(call) is expected


@pytest.mark.net
def test_a_network_of_a_package_that_stays_in_evaluation_mode(tmp_path: Path) -> None:
    """Its evaluation mode is set in the package, which is the person's; nothing in the script names a dropout."""
    (tmp_path / "script" / "nets").mkdir(parents=True)
    built = "\n\ndef build():\n    net = normalised()\n    net.eval()\n    return net\n"
    (tmp_path / "script" / "nets" / "small.py").write_text(NETWORK + built)
    start = "import torch\nimport torch.nn.functional as F\nfrom nets.small import build\n"
    text = start + LOOP.format(model="build()", before="", start="pass", end="pass", judged=PLAIN)
    whole = diagnosed(text, tmp_path / "script")
    (finding,) = (f for f in whole.diagnosis.findings if f.fault == FAULT)
    assert finding.known == "observed"
    assert finding.site is not None
    assert finding.site.file == "nets/small.py"


ATTENTION = """

class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last, self.share = nn.Linear(3, 16), nn.Linear(16, 2), 0.4

    def forward(self, x):
        h = self.first(x.view(len(x), 4, 3))
        h = {mixed}
        return self.last(torch.tanh(h).mean(1))

"""
BLIND = "F.scaled_dot_product_attention(h, h, h, dropout_p=self.share)"
TOLD = "F.scaled_dot_product_attention(h, h, h, dropout_p=self.share if self.training else 0.0)"


def _attending(mixed: str) -> str:
    return script("Attending()", start="model.train()", end="model.eval()").replace(
        "\n\ndef normalised", ATTENTION.format(mixed=mixed) + "\ndef normalised", 1
    )


@pytest.mark.parametrize(
    ("blind", "told"),
    [
        (BLIND, TOLD),
        (BLIND.replace("self.share", "2 * 0.2"), TOLD.replace("self.share", "(2 * 0.2)")),
        ("F.dropout(h, 0.4)", "F.dropout(h, 0.4, training=self.training)"),
    ],
)
def test_a_function_that_drops_in_both_modes_is_told_the_mode(blind: str, told: str, findings: Findings) -> None:
    text = _attending(blind)
    (finding,) = findings(text, FAULT)
    assert (finding.known, finding.effect.word) == ("observed", "proven")
    assert told in edited(finding.remedies[0], text)


@pytest.mark.net
def test_attention_that_drops_in_evaluation_is_a_cause_and_patched(tmp_path: Path) -> None:
    whole = diagnosed(_attending(BLIND), tmp_path / "script")
    assert len(whole.loud(FAULT)) == 1
    assert TOLD in (whole.patched() / "train.py").read_text()


def test_a_function_that_is_told_the_mode_is_not_reported(findings: Findings) -> None:
    assert findings(_attending(TOLD), FAULT) == []


@pytest.mark.parametrize(("dropout", "expected"), [(0.0, []), (0.1, [True, False])])
def test_attention_has_a_mode_only_where_it_drops(dropout: float, expected: list[bool], record: Record) -> None:
    tape = record(
        f"""
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(40, 5, 8), torch.randint(2, (40,))
layer, head = nn.MultiheadAttention(8, 2, {dropout}, batch_first=True), nn.Linear(8, 2)
optimizer = torch.optim.SGD([*layer.parameters(), *head.parameters()], lr=0.01)
for training in (True, False):
    layer.train(training)
    loss = nn.functional.cross_entropy(head(layer(x, x, x)[0].mean(1)), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""
    )
    calls = [c for p in tape.programs for c in p.calls if c.name == "multi_head_attention_forward"]
    assert [mode(c) for c in calls] == (expected or [None] * len(calls))
