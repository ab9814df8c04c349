"""Updates that no hook of torch announces: every one is on the tape, with its rate, its rule and its line."""

from __future__ import annotations

import pytest
import torch

from tests.recorded import Record
from tests.recording.test_open_steps import HEAD
from unstuck.recording.update_rules import Step, rule_of
from unstuck.replay.bench import Bench

STEPS = 20
WRITES = {
    "data": "for p in net.parameters(): p.data.sub_(0.1 * p.grad.data)",
    "augmented": "for p in net.parameters(): p.data -= 0.1 * p.grad",
    "no_grad": "with torch.no_grad(): [p.sub_(p.grad, alpha=0.1) for p in net.parameters()]",
    "foreach": "with torch.no_grad(): torch._foreach_add_(flat, [p.grad for p in net.parameters()], alpha=-0.1)",
    "numpy": "for p in net.parameters(): p.data = torch.from_numpy(p.detach().numpy() - 0.1 * p.grad.numpy())",
    "numpy in place": "for p in net.parameters(): p.detach().numpy()[...] -= 0.1 * p.grad.numpy()",
    "out": "for p in net.parameters(): torch.sub(p.data, p.grad, alpha=0.1, out=p.data)",
    "kept aliases": "for p, data in zip(net.parameters(), flat): data.sub_(0.1 * p.grad)",
}
REBOUND = {
    "requires_grad_": "w = (w - 0.1 * g).detach().requires_grad_()",
    "attribute": "with torch.no_grad(): w = w - 0.1 * g\n    w.requires_grad = True",
    "clone": "w = (w - 0.1 * g).detach().clone().requires_grad_(True)",
    "parameter": "w = nn.Parameter(w - 0.1 * g)",
    "tensor": "w = torch.tensor(w.detach() - 0.1 * g, requires_grad=True)",
}
OPTIMIZER = """
class Steepest:
    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr

    @property
    def param_groups(self):
        return [{"params": self.params, "lr": self.lr}]

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    def step(self):
        for p in self.params:
            p.data.add_(p.grad, alpha=-self.lr)


optimizer = Steepest(net.parameters(), 0.1)
for step in range(20):
    closure()
    optimizer.step()
    optimizer.lr *= 0.9
"""
MOMENTUM = """
speed = [torch.zeros_like(p) for p in net.parameters()]
for step in range(20):
    net.zero_grad()
    loss_of().backward()
    with torch.no_grad():
        for p, v in zip(net.parameters(), speed):
            v.mul_(0.9).add_(p.grad)
            p -= 0.1 * v
"""


def _loop(update: str) -> str:
    return f"""
flat = [p.data for p in net.parameters()]
for step in range({STEPS}):
    net.zero_grad()
    loss_of().backward()
    {update}
"""


@pytest.mark.parametrize("way", WRITES)
def test_every_update_is_counted_however_it_is_written(way: str, record: Record) -> None:
    tape = record(HEAD + _loop(WRITES[way]))
    assert tape.steps == len(tape.updates) == STEPS
    (optimizer,) = tape.optimizers
    assert (optimizer.name, optimizer.kind, optimizer.ours, optimizer.held) == ("by hand", "SGD", True, 4)
    assert [u.rates for u in tape.updates] == [pytest.approx((0.1,), rel=1e-4)] * STEPS
    assert all(p.optimizer == 0 for p in tape.parameters)


@pytest.mark.parametrize("way", REBOUND)
def test_a_weight_that_is_replaced_keeps_its_name(way: str, record: Record) -> None:
    loop = f"""
w = torch.zeros(6, requires_grad=True)
for step in range({STEPS}):
    loss = F.binary_cross_entropy_with_logits(x @ w, y)
    (g,) = torch.autograd.grad(loss, [w])
    {REBOUND[way]}
"""
    tape = record(HEAD + loop)
    assert [p.name for p in tape.parameters] == ["w"]
    assert {p.program for p in tape.passes} == {0}
    assert len(tape.updates) >= STEPS - 1  # after the last backward nothing reads the new weight
    assert tape.updates[0].rates == pytest.approx((0.1,), rel=1e-4)
    assert not tape.programs[0].missing


def test_an_optimizer_of_another_library_has_its_name_its_rates_and_its_line(record: Record) -> None:
    text = HEAD + OPTIMIZER
    tape = record(text)
    (optimizer,) = tape.optimizers
    assert (optimizer.name, optimizer.kind, optimizer.ours) == ("Steepest", "SGD", True)
    assert [u.rates[0] for u in tape.updates] == pytest.approx([0.1 * 0.9**n for n in range(20)], rel=1e-4)
    assert optimizer.site is not None
    assert "p.data.add_" in text.splitlines()[optimizer.site.line - 1]
    assert Bench(tape).why == ""


def test_momentum_by_hand_is_replayed(record: Record) -> None:
    tape = record(HEAD + MOMENTUM)
    (optimizer,) = tape.optimizers
    assert (optimizer.kind, optimizer.groups[0]["momentum"]) == ("SGD", pytest.approx(0.9, rel=1e-3))
    bench = Bench(tape)
    assert bench.why == ""
    replayed = torch.stack(bench.written.losses)[:, 0].tolist()
    assert replayed == pytest.approx([p.loss for p in tape.passes], rel=1e-3)


def test_two_loops_of_updates_on_different_weights_are_two_optimizers(record: Record) -> None:
    loop = """
for step in range(10):
    for part, rate in ((net[0], 0.1), (net[2], 0.2)):
        net.zero_grad()
        loss_of().backward()
        for p in part.parameters():
            p.data -= rate * p.grad
"""
    tape = record(HEAD + loop)
    assert [o.groups[0]["lr"] for o in tape.optimizers] == pytest.approx([0.1, 0.2], rel=1e-4)
    assert [u.optimizer for u in tape.updates] == [0, 1] * 10


def test_accumulated_gradients_make_one_update(record: Record) -> None:
    loop = """
for step in range(6):
    net.zero_grad()
    for part in range(3):
        loss_of().backward()
    for p in net.parameters():
        p.data -= 0.1 * p.grad
"""
    tape = record(HEAD + loop)
    assert [u.after for u in tape.updates] == [3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_the_rule_of_torch_s_own_updates_is_found(kind: str) -> None:
    options = {"SGD": {"momentum": 0.8, "weight_decay": 0.02}, "AdamW": {"weight_decay": 0.1, "eps": 1e-6}}
    torch.manual_seed(0)
    weight = torch.randn(40, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, kind)([weight], lr=0.01, **options.get(kind, {}))
    steps = []
    for _ in range(6):
        before = weight.detach().clone()
        weight.grad = torch.randn(40, dtype=torch.float64) + before
        optimizer.step()
        steps.append(Step(before, before - weight.detach(), weight.grad))
    rule = rule_of(steps)
    assert rule is not None
    assert rule.name == {"Adam": "AdamW"}.get(kind, kind)
    assert rule.rates[0] == pytest.approx(0.01, rel=1e-2)
    for name, value in options.get(kind, {}).items():
        assert rule.options[name] == pytest.approx(value, rel=1e-2)


def test_an_unknown_rule_is_none() -> None:
    torch.manual_seed(0)
    steps = [Step(torch.randn(40), torch.randn(40), torch.randn(40)) for _ in range(6)]
    assert rule_of(steps) is None


def test_transforms_of_torch_func_leave_a_note(record: Record) -> None:
    loop = """
from torch.func import functional_call, grad

weights = {k: v.detach() for k, v in net.named_parameters()}


def loss_at(weights):
    return F.binary_cross_entropy_with_logits(functional_call(net, weights, (x,)).squeeze(1), y)


for step in range(3):
    gradient = grad(loss_at)(weights)
    weights = {k: weights[k] - 0.1 * gradient[k] for k in weights}
"""
    (note,) = record(HEAD + loop).notes
    assert "torch.func" in note


def test_weights_given_to_functional_call_are_the_ones_that_learn(record: Record) -> None:
    loop = """
weights = {k: v.detach().clone().requires_grad_() for k, v in net.named_parameters()}
optimizer = torch.optim.SGD(weights.values(), lr=0.1)
for step in range(4):
    loss = F.binary_cross_entropy_with_logits(torch.func.functional_call(net, weights, (x,)).squeeze(1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
    tape = record(HEAD + loop)
    assert [p.optimizer for p in tape.parameters] == [0, 0, 0, 0]
    assert tape.parameters[0].name == "weights['0.weight']"
    assert not any(p.missing for p in tape.programs)


@pytest.mark.parametrize("first", [2.0**10, 2.0**127])
def test_a_scaled_loss_is_on_the_tape_as_it_was(first: float, record: Record) -> None:
    loop = f"""
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale={first})
for step in range(12):
    optimizer.zero_grad()
    scaler.scale(64 * loss_of()).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(net.parameters(), 0.05)
    scaler.step(optimizer)
    scaler.update()
"""
    plain = record(HEAD + loop.partition("scaler =")[0] + "(64 * loss_of()).backward()")
    tape = record(HEAD + loop)
    assert tape.passes[0].loss == plain.passes[0].loss
    assert tape.passes[0].gradient == pytest.approx(plain.passes[0].gradient, rel=1e-4) or first > 2.0**100
    assert [c.name for c in tape.programs[0].calls] == [c.name for c in plain.programs[0].calls]
    (optimizer,) = tape.optimizers
    assert optimizer.clip == pytest.approx(0.05, rel=1e-2)
    skipped = 12 - len(tape.updates)
    assert (skipped > 0) == (first > 2.0**100)
    assert tape.updates[0].after == skipped + 1
