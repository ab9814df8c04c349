"""Rules about learning rates, weights, gradients and the training loop, on scripts besides FIRES and QUIET."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.micro import reach
from unstuck.micro.step import Recorded
from unstuck.replay.bench import Bench
from unstuck.rules import lr_too_high
from unstuck.rules._rates import better, rounded
from unstuck.rules._steep import before, steep
from unstuck.rules.catalogue import catalogue
from unstuck.signals.gradients import Gradients
from unstuck.signals.layers import Layers
from unstuck.signals.learning import Learning
from unstuck.signals.reachability import Reach
from unstuck.signals.running import Running
from unstuck.signals.stale_gradients import StaleGradients
from unstuck.signals.sweep import Sweep
from unstuck.source.text import Sources

RULES = catalogue()
SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(120, 4)
y = x[:, :1] * x[:, 1:2]
{model}
for step in range({steps}):
    rows = torch.randint(0, 120, (20,))
{body}
"""
MODEL = """
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""
LOSS = "loss = ((model(x[rows]) - y[rows]) ** 2).mean()"
STEP = "optimizer.zero_grad()\nloss.backward()\noptimizer.step()"


def script(*body: str, model: str = MODEL, steps: int = 30) -> str:
    """A training script with these lines in its loop."""
    lines = "\n".join(body).splitlines()
    return SCRIPT.format(model=model, steps=steps, body="\n".join(f"    {line}" for line in lines))


def found(folder: Path, text: str, *faults: str, steps: int = 20_000) -> list[Finding]:
    """The findings of some rules on a script; an exception in a rule fails the test."""
    findings, outcomes = examine(Readings(tape_of(text, folder, steps=steps)), {f: RULES[f] for f in faults})
    assert [o.reason for o in outcomes if "the rule failed" in o.reason] == []
    return findings


# -- the loop --------------------------------------------------------------------------------------------------------


def test_uncleared_gradients_of_updates_by_hand(tmp_path: Path) -> None:
    model = "w = torch.zeros(4, 1, requires_grad=True)"
    update = "with torch.no_grad():\n    w -= 0.001 * w.grad"
    body = ("loss = ((x[rows] @ w - y[rows]) ** 2).mean()", "loss.backward()", update)
    assert [f.fault for f in found(tmp_path, script(*body, model=model), "no-zero-grad")] == ["no-zero-grad"]
    assert found(tmp_path, script(*body, "w.grad = None", model=model), "no-zero-grad") == []


def test_gradient_accumulation_is_not_reported(tmp_path: Path) -> None:
    body = (LOSS, "(loss / 4).backward()", "if step % 4 == 3:\n    optimizer.step()\n    optimizer.zero_grad()")
    assert found(tmp_path, script(*body, steps=40), "no-zero-grad") == []


@pytest.mark.parametrize(
    ("clear", "known"), [("pass", "observed"), ("if step % 3 == 0:\n    optimizer.zero_grad()", "guessed")]
)
def test_clearing_every_few_steps_is_only_guessed(tmp_path: Path, clear: str, known: str) -> None:
    (finding,) = found(tmp_path, script(clear, LOSS, STEP.replace("optimizer.zero_grad()\n", "")), "no-zero-grad")
    assert finding.known == known


@pytest.mark.parametrize(("clear", "steps"), [("pass", 29), ("optimizer.zero_grad()", 0)])
def test_stale_gradients_in_a_closure(tmp_path: Path, clear: str, steps: int) -> None:
    closure = f"def closure():\n    {clear}\n    {LOSS}\n    loss.backward()\n    return loss\noptimizer.step(closure)"
    assert StaleGradients.read(tape_of(script(closure), tmp_path)).kept == steps


def test_one_of_two_players_never_clears_its_gradients(tmp_path: Path) -> None:
    model = """
make, judge = nn.Linear(4, 4), nn.Linear(4, 1)
first = torch.optim.SGD(make.parameters(), lr=0.01)
second = torch.optim.SGD(judge.parameters(), lr=0.01)
"""
    body = (
        "loss = (judge(x[rows]) - judge(make(x[rows]).detach())).pow(2).mean()",
        "loss.backward()\nsecond.step()",
        "loss = judge(make(x[rows])).pow(2).mean()",
        "first.zero_grad()\nloss.backward()\nfirst.step()",
    )
    text = script(*body, model=model)
    (finding,) = found(tmp_path, text, "no-zero-grad")
    assert finding.known == "observed"
    assert finding.site is not None
    assert text.splitlines()[finding.site.line - 1].strip() == "loss.backward()"
    (remedy,) = finding.remedies
    patched = remedy.edit(Sources({"train.py": text}, "train.py")).files["train.py"]
    wanted = "    second.zero_grad()\n    loss.backward()\n    second"
    assert patched == text.replace("    loss.backward()\n    second", wanted)


def test_gan_optimizers_that_clear_their_own_gradients_are_not_reported(tmp_path: Path) -> None:
    model = """
make, judge = nn.Linear(4, 4), nn.Linear(4, 1)
first, second = torch.optim.SGD(make.parameters(), lr=0.01), torch.optim.SGD(judge.parameters(), lr=0.01)
"""
    body = (
        "loss = (judge(x[rows]) - judge(make(x[rows]).detach())).pow(2).mean()",
        "second.zero_grad()\nloss.backward()\nsecond.step()",
        "loss = judge(make(x[rows])).pow(2).mean()",
        "first.zero_grad()\nloss.backward()\nfirst.step()",
    )
    assert found(tmp_path, script(*body, model=model), "no-zero-grad", "optimizer-params", "unregistered-params") == []


def test_optimizer_holds_one_of_two_small_models(tmp_path: Path) -> None:
    model = "body, head = nn.Linear(4, 8), nn.Linear(8, 1)\noptimizer = torch.optim.SGD(head.parameters(), lr=0.01)"
    text = script("loss = (head(body(x[rows])) - y[rows]).pow(2).mean()", STEP, model=model)
    (finding,) = found(tmp_path, text, "optimizer-params", "unregistered-params")
    assert (finding.fault, finding.known, finding.effect.word) == ("optimizer-params", "guessed", "undecided")
    assert finding.remedies[0].names == ("body.weight", "body.bias")


PART = """
body, head = nn.Linear(4, 64), nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 1))
{before}
optimizer = torch.optim.SGD(head[1].parameters(), lr=0.01)
"""


@pytest.mark.parametrize(("before", "known"), [("", "observed"), ("head[0].weight.data += 0.2", "guessed")])
def test_optimizer_holds_part_of_a_network_from_scratch(tmp_path: Path, before: str, known: str) -> None:
    text = script("loss = (head(body(x[rows])) - y[rows]).pow(2).mean()", STEP, model=PART.format(before=before))
    (finding,) = found(tmp_path, text, "optimizer-params")
    assert (finding.known, finding.effect.word) == (known, "undecided")


def test_shape_mismatch_with_a_target_computed_in_the_step(tmp_path: Path) -> None:
    aim = "with torch.no_grad():\n    aim = y[rows].squeeze(1) + model(x[rows]).max(1).values"
    text = script(aim, "loss = nn.functional.mse_loss(model(x[rows]){}, aim)", STEP)
    (finding,) = found(tmp_path, text.format(""), "target-shape")
    assert (finding.effect.word, [r.name for r in finding.remedies]) == ("proven", ["squeeze-prediction"])
    assert found(tmp_path, text.format(".squeeze(1)"), "target-shape") == []


def test_optimizer_holds_another_model(tmp_path: Path) -> None:
    text = script(LOSS, STEP, model=MODEL + "model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))")
    (finding,) = found(tmp_path, text, "optimizer-params", "unregistered-params")
    assert (finding.fault, finding.known, finding.effect.word) == ("optimizer-params", "observed", "proven")


@pytest.mark.parametrize(
    "kept",
    ["{'a': nn.Linear(4, 8), 'b': nn.Linear(8, 8)}", "dict(a=nn.Linear(4, 8), b=nn.Linear(8, 8))"],
)
def test_layers_in_a_plain_dict_are_unregistered(tmp_path: Path, kept: str) -> None:
    model = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = {kept}
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        return self.head(torch.relu(self.parts["b"](torch.relu(self.parts["a"](x)))))


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""
    faults = [
        f.fault for f in found(tmp_path, script(LOSS, STEP, model=model), "optimizer-params", "unregistered-params")
    ]
    assert faults == ["unregistered-params"]


def test_layer_constructed_in_forward_is_unregistered(tmp_path: Path) -> None:
    model = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)

    def forward(self, x):
        last = nn.Linear(8, 1)
        return last(torch.relu(self.first(x)))


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""
    (finding,) = found(tmp_path, script(LOSS, STEP, model=model), "optimizer-params", "unregistered-params")
    assert (finding.fault, finding.effect.word) == ("unregistered-params", "proven")


CUT = {
    "detach": "loss = ((model(x[rows]).detach() - y[rows]) ** 2).mean()\nloss.requires_grad_()",
    "data": "loss = ((model(x[rows]).data - y[rows]) ** 2).mean()\nloss.requires_grad = True",
    "no_grad": "with torch.no_grad():\n    out = model(x[rows])\nloss = ((out - y[rows]) ** 2).mean()",
    "numpy": "out = torch.from_numpy(model(x[rows]).detach().numpy())\nloss = ((out - y[rows]) ** 2).mean()",
}


@pytest.mark.parametrize("how", CUT)
def test_detached_graph(tmp_path: Path, how: str) -> None:
    (finding,) = found(tmp_path, script(CUT[how], STEP), "graph-detached")
    assert finding.effect.word == "proven"
    assert finding.site is not None


def test_target_without_gradient_is_not_reported(tmp_path: Path) -> None:
    text = script("with torch.no_grad():\n    aim = 2 * y[rows]", LOSS.replace("y[rows]", "aim"), STEP)
    assert found(tmp_path, text, "graph-detached") == []


def test_detach_between_two_layers(tmp_path: Path) -> None:
    text = script("loss = ((model[2](model[1](model[0](x[rows])).detach()) - y[rows]) ** 2).mean()", STEP)
    tape = tape_of(text, tmp_path)
    reach = Reach.read(tape)
    assert reach.taught == {"model.2.weight", "model.2.bias"}
    assert [c.name for c in reach.cuts] == ["detach"]


# -- rates -----------------------------------------------------------------------------------------------------------

FACTORS = tuple(10 ** (e / 2) for e in range(-6, 8))


def sweep(**skills: float) -> Sweep:
    """Skill by power of ten: m2 is 0.01 times the rate, p1 is 10 times."""
    table = {10.0 ** (int(k[1:]) * (-1 if k[0] == "m" else 1)): v for k, v in skills.items()}
    return Sweep(FACTORS, tuple(next((v for f, v in table.items() if math.isclose(f, g)), 0.0) for g in FACTORS), 0.1)


def test_nearest_of_tied_rates_is_chosen() -> None:
    assert better(sweep(m2=0.9, m1=0.89, p0=0.1), 0.1, lambda _: True) == pytest.approx(0.1)


def test_no_better_rate_if_the_run_gets_half_way() -> None:
    assert better(sweep(m1=0.9, p0=0.6), 0.6, lambda _: True) is None


def test_no_better_rate_if_the_longer_run_gets_there() -> None:
    assert better(sweep(p1=0.9, p0=0.1), 0.85, lambda _: True) is None


def test_rates_are_rounded_to_one_digit() -> None:
    assert [rounded(r) for r in (0.0316, 1e-3, 0.15)] == [0.03, 0.001, 0.1]


def test_high_rate_without_a_sweep_needs_a_diverging_loss(tmp_path: Path) -> None:
    hot = script(LOSS, STEP, model=MODEL.replace("lr=0.01", "lr=50.0"))
    assert [f.fault for f in found(tmp_path, hot, "lr-too-high")] == ["lr-too-high"]
    assert found(tmp_path, script(LOSS, STEP), "lr-too-high") == []


@pytest.mark.parametrize(("rate", "faults"), [(10.0, ["lr-too-high"]), (0.01, [])])
def test_high_rate_without_a_sweep_is_seen_by_the_size_of_the_steps(
    tmp_path: Path, rate: float, faults: list[str]
) -> None:
    adam = MODEL.replace("SGD", "Adam").replace("lr=0.01", f"lr={rate}")
    loss = "loss = torch.tanh((model(x[rows]) - y[rows]) ** 2).mean()"
    tape = tape_of(script(loss, STEP, model=adam), tmp_path)
    found = list(lr_too_high.check(tape, Learning.read(tape), None, None, reach.ask(Recorded(tape))))
    assert [(f.fault, f.known) for f in found] == [(fault, "observed") for fault in faults]


def test_schedule_that_decays_to_nothing(tmp_path: Path) -> None:
    model = MODEL + "schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.5**n)"
    (finding,) = found(tmp_path, script(LOSS, STEP, "schedule.step()", model=model), "scheduler-misuse")
    assert [r.name for r in finding.remedies] == ["steady-rate"]
    steady = model.replace("0.5**n", "0.99**n")
    assert found(tmp_path, script(LOSS, STEP, "schedule.step()", model=steady), "scheduler-misuse") == []


# -- weights, activations and gradients --------------------------------------------------------------------------------

START = """
with torch.no_grad():
    for p in model.parameters():
        {how}
"""


@pytest.mark.parametrize("how", ["p.fill_(1.0)", "p.zero_()", "p.mul_(40.0)", "p.mul_(0.01)"])
def test_bad_initial_weights(tmp_path: Path, how: str) -> None:
    (finding,) = found(tmp_path, script(LOSS, STEP, model=MODEL + START.format(how=how)), "bad-init")
    assert "model.0.weight" in finding.remedies[0].names


def test_last_layer_of_zeros_is_not_reported(tmp_path: Path) -> None:
    model = MODEL + "nn.init.zeros_(model[2].weight)\nnn.init.zeros_(model[2].bias)"
    assert found(tmp_path, script(LOSS, STEP, model=model), "bad-init") == []


def test_dead_relu_units_are_redrawn(tmp_path: Path) -> None:
    model = MODEL + "nn.init.constant_(model[0].bias, -9.0)"
    (finding,) = found(tmp_path, script(LOSS, STEP, model=model), "dead-relu")
    assert finding.remedies[0].names == ("model.0.weight", "model.0.bias")


def test_weights_that_were_trained_before_they_are_frozen_are_meant(tmp_path: Path) -> None:
    frozen = "if step == 15:\n    model[0].requires_grad_(False)"
    assert found(tmp_path, script(frozen, LOSS, STEP), "frozen-params") == []
    assert found(tmp_path, script(LOSS, STEP), "dead-relu") == []


def test_factor_before_a_sigmoid_is_found_through_reshapes(tmp_path: Path) -> None:
    text = script("loss = ((torch.sigmoid((300 * model(x[rows])).squeeze(1)) - 0.5) ** 2).mean()", STEP)
    layers = Layers.read(tape_of(text, tmp_path))
    sigmoid = next(x.call for x in layers.rows if x.call.name == "sigmoid")
    scale, layer = before(layers.program, sigmoid)
    assert steep(scale) == 300.0
    assert layer is not None
    assert layer.name == "linear"


def test_saturated_hidden_units(tmp_path: Path) -> None:
    model = MODEL.replace("nn.ReLU()", "nn.Tanh()").replace("(4, 8)", "(4, 8, bias=False)") + "x = 500 * x"
    text = script(LOSS, STEP, model=model)
    assert [f.fault for f in found(tmp_path, text, "saturated-hidden")] == ["saturated-hidden"]
    assert found(tmp_path, text.replace("500 * x", "1 * x"), "saturated-hidden") == []


def test_exploding_gradient_of_a_diverging_run(tmp_path: Path) -> None:
    hot = script(LOSS, STEP, model=MODEL.replace("lr=0.01", "lr=1e6"))
    tape = tape_of(hot, tmp_path)
    assert math.isinf(Gradients.read(tape).largest)
    assert [f.fault for f in found(tmp_path, hot, "exploding-gradient")] == ["exploding-gradient"]


def test_weight_decay_is_compared_with_the_gradient(tmp_path: Path) -> None:
    text = script(LOSS, STEP, model=MODEL.replace("lr=0.01", "lr=0.01, weight_decay=5.0"))
    assert [f.fault for f in found(tmp_path, text, "weight-decay-too-high")] == ["weight-decay-too-high"]
    assert found(tmp_path, text.replace("=5.0", "=1e-4"), "weight-decay-too-high") == []


# -- layers with a training mode ---------------------------------------------------------------------------------------

NORMED = """
x = 3 + 5 * x
model = nn.Sequential(nn.BatchNorm1d(4, momentum={momentum}), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""
LOOK = (
    "if step % 10 == 9:\n    model.eval()\n    with torch.no_grad():\n        print(model(x).mean())\n    model.train()"
)


@pytest.mark.parametrize(("momentum", "fires"), [(0.001, True), (0.1, False), (None, False)])
def test_momentum_of_running_statistics(tmp_path: Path, momentum: float | None, fires: bool) -> None:
    text = script(LOSS, STEP, LOOK, model=NORMED.format(momentum=momentum), steps=40)
    assert bool(found(tmp_path, text, "batchnorm-misuse")) is fires


def test_cumulative_running_average_is_one_program(tmp_path: Path) -> None:
    tape = tape_of(script(LOSS, STEP, LOOK, model=NORMED.format(momentum=None), steps=40), tmp_path)
    assert len({p.program for p in tape.passes}) == 1
    assert all(n.shift < 0.3 for n in Running.read(tape).norms)


def test_batch_norm_on_one_row(tmp_path: Path) -> None:
    text = script(LOSS.replace("x[rows]", "x[:1]"), STEP, model=NORMED.format(momentum=0.1))
    (finding,) = found(tmp_path, text, "batchnorm-misuse")
    assert finding.effect.word == "proven"


def test_excess_dropout_of_a_network_that_learns(tmp_path: Path) -> None:
    model = """
y = x[:, :1] + 0.1
model = nn.Sequential(nn.Linear(4, 256), nn.Dropout(0.7), nn.Linear(256, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
"""
    text = script(LOSS, STEP, model=model, steps=150)
    assert found(tmp_path, text, "excess-dropout") == []
    last = text.replace("nn.Dropout(0.7), nn.Linear(256, 1)", "nn.Linear(256, 1), nn.Dropout(0.7)")
    assert [f.fault for f in found(tmp_path, last.replace("lr=0.01", "lr=1e-4"), "excess-dropout")] == [
        "excess-dropout"
    ]


@pytest.mark.parametrize(("line", "gap"), [("x[::9, 1] = -999", -999.0), ("x[:, 2] += 90; x[::9, 2] = 0", 0.0)])
def test_missing_value_code_is_left_out_of_the_statistics(line: str, gap: float, tmp_path: Path) -> None:
    body = ("y = x[:, :1] * x[:, 1:2]", f"y = x[:, :1] * x[:, 1:2]\n{line}")
    tape = tape_of(script(LOSS, STEP, steps=60).replace(*body), tmp_path)
    found, _ = examine(Readings(tape), {f: RULES[f] for f in ("feature-scale-mix", "input-offset")})
    assert {f.remedies[0].missing for f in found} == {gap}


def test_outliers_are_clipped(tmp_path: Path) -> None:
    body = ("y = x[:, :1] * x[:, 1:2]", "y = x[:, :1] * x[:, 1:2]\nx[5, 1] = 4e5 + 0.5\nx[9, 3] = -3.3e4 - 0.5")
    tape = tape_of(script(LOSS, STEP, steps=60).replace(*body), tmp_path)
    ((finding,), _) = examine(Readings(tape), {"feature-scale-mix": RULES["feature-scale-mix"]})
    remedy = finding.remedies[0]
    assert remedy.clip == 10
    assert remedy.missing is None
    assert max(remedy.std) < 1.5
    assert any("spreads away" in e.what for e in finding.evidence)


def test_narrow_hidden_layer(tmp_path: Path) -> None:
    narrow = script(LOSS, STEP, model=MODEL.replace("8", "2"))
    assert [f.fault for f in found(tmp_path, narrow, "under-capacity")] == ["under-capacity"]
    assert found(tmp_path, script(LOSS, STEP, model=MODEL.replace("8", "32")), "under-capacity") == []


def test_gate_is_not_a_bottleneck(tmp_path: Path) -> None:
    model = """
wide, gate, out = nn.Linear(4, 32), nn.Linear(32, 1), nn.Linear(32, 1)
optimizer = torch.optim.SGD([*wide.parameters(), *gate.parameters(), *out.parameters()], lr=0.01)
"""
    loss = "h = torch.relu(wide(x[rows]))\nloss = ((out({}) - y[rows]) ** 2).mean()"
    gated = loss.format("torch.sigmoid(gate(h)) * h")
    assert found(tmp_path, script(gated, STEP, model=model), "under-capacity") == []
    squeezed = loss.format("torch.sigmoid(gate(h)).expand(-1, 32)")
    (finding,) = found(tmp_path, script(squeezed, STEP, model=model), "under-capacity")
    assert "the one unit behind gate" in finding.message


def test_loss_of_both_signs_says_nothing(tmp_path: Path) -> None:
    players = "loss = model(x[rows]).mean() - model(2 * x[rows]).mean()"
    learning = Readings(tape_of(script(players, STEP), tmp_path)).of(Learning)
    assert learning.adrift
    assert not Readings(tape_of(script(LOSS, STEP), tmp_path)).of(Learning).adrift


def test_schedule_that_ends_within_the_first_epoch(tmp_path: Path) -> None:
    text = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 4)
y = x[:, :1] * x[:, 1:2]
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
options = {"gamma": float("0.8")}
decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, **options)
for epoch in range(20):
    for rows in torch.randperm(400).split(20):
        optimizer.zero_grad()
        ((model(x[rows]) - y[rows]) ** 2).mean().backward()
        optimizer.step()
        decay.step()
"""
    (finding,) = found(tmp_path, text, "scheduler-misuse")
    assert finding.effect.word == "proven"
    assert [r.name for r in finding.remedies] == ["step-per-epoch"]
    (slower,) = found(tmp_path, text.replace("0.8", "0.98"), "scheduler-misuse")
    assert slower.effect.word == "undecided"


def test_frozen_weights_are_unfrozen(tmp_path: Path) -> None:
    text = script(LOSS, STEP, model=MODEL + "model[0].requires_grad_(False)")
    (finding,) = found(tmp_path, text, "frozen-params")
    assert finding.remedies[0].names == ("model.0.weight", "model.0.bias")


def test_recurrent_layer_is_replayed(tmp_path: Path) -> None:
    model = """
reader, head = nn.LSTM(1, 6, batch_first=True), nn.Linear(6, 1)
optimizer = torch.optim.SGD([*reader.parameters(), *head.parameters()], lr=0.05)
"""
    body = "out, _ = reader(x[rows].unsqueeze(-1))\nloss = ((head(out[:, -1]) - y[rows]) ** 2).mean()"
    bench = Bench(tape_of(script(body, STEP, model=model), tmp_path))
    assert bench.why == ""
    assert bench.written is not None
    assert bench.written.passes == 30
