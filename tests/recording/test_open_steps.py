"""Closures and steps inside steps: what the tape says an optimizer's step was."""

from __future__ import annotations

from tests.recorded import Record
from unstuck.signals.reachability import taught_by

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(3)
x = torch.randn(64, 6)
y = (x[:, :3].sum(1) > 0).float()
net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def loss_of():
    return F.binary_cross_entropy_with_logits(net(x).squeeze(1), y)


def closure():
    optimizer.zero_grad()
    loss = loss_of()
    loss.backward()
    return loss

"""
SAM = """
class Sharpness(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
        self.inner = torch.optim.SGD(self.param_groups, lr=lr)
        self.param_groups = self.inner.param_groups

    @torch.no_grad()
    def step(self, closure=None):
        weights = [p for group in self.param_groups for p in group["params"]]
        held = [p.clone() for p in weights]
        for p in weights:
            p.add_(p.grad, alpha=0.05)
        with torch.enable_grad():
            closure()
        for p, old in zip(weights, held):
            p.data = old
        self.inner.step()


optimizer = Sharpness(net.parameters(), lr=0.1)
for step in range(6):
    loss_of().backward()
    optimizer.step(closure)
"""
WRAPPER = """
class Wrapper(torch.optim.Optimizer):
    def __init__(self, inner):
        self.inner, self.count = inner, 0
        super().__init__(inner.param_groups, {})
        self.param_groups = inner.param_groups

    def step(self, closure=None):
        self.count += 1
        loss = self.inner.step(closure)
        AFTER
        return loss


optimizer = Wrapper(torch.optim.Adam(net.parameters(), lr=0.1))
for step in range(6):
    closure()
    optimizer.step()
"""


def test_a_closure_that_is_evaluated_once_makes_an_ordinary_step(record: Record) -> None:
    loop = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
for step in range(6):
    optimizer.step(closure)
    with torch.no_grad():
        loss_of()
"""
    tape = record(HEAD + loop)
    assert [(u.after, u.closure, u.rates) for u in tape.updates] == [(n, False, (0.1,)) for n in range(1, 7)]
    assert not any(p.stale for p in tape.passes)
    assert [e.after for e in tape.evaluations] == [1, 2, 3, 4, 5, 6]
    assert [o.name for o in tape.optimizers] == ["SGD"]


def test_backwards_before_the_step_and_in_its_closure_are_added_up(record: Record) -> None:
    loop = """
def last():
    loss = loss_of()
    loss.backward()
    return loss


optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(4):
    closure()
    loss_of().backward()
    optimizer.step(last)
"""
    tape = record(HEAD + loop)
    assert [(u.after, u.closure) for u in tape.updates] == [(3, False), (6, False), (9, False), (12, False)]


def test_clipping_inside_a_closure_is_seen(record: Record) -> None:
    loop = """
def clipped():
    loss = closure()
    nn.utils.clip_grad_norm_(net.parameters(), 0.05)
    return loss


optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(4):
    optimizer.step(clipped)
"""
    (optimizer,) = record(HEAD + loop).optimizers
    assert optimizer.clip is not None
    assert abs(optimizer.clip - 0.05) < 1e-4


def test_a_line_search_evaluates_its_closure_several_times(record: Record) -> None:
    loop = """
optimizer = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=4)
for step in range(3):
    optimizer.step(closure)
"""
    tape = record(HEAD + loop)
    assert [(u.after, u.closure, u.evaluations) for u in tape.updates] == [(0, True, 4), (4, True, 4), (8, True, 4)]
    assert [o.name for o in tape.optimizers] == ["LBFGS"]


def test_a_closure_evaluated_at_other_weights_is_no_ordinary_step(record: Record) -> None:
    tape = record(HEAD + SAM)
    assert [o.name for o in tape.optimizers] == ["Sharpness"]
    assert [(u.after, u.closure, u.evaluations) for u in tape.updates] == [(n, True, 1) for n in range(1, 12, 2)]


def test_an_optimizer_that_hands_its_step_on_is_not_on_the_tape(record: Record) -> None:
    tape = record(HEAD + WRAPPER.replace("AFTER", "pass"))
    assert [o.name for o in tape.optimizers] == ["Adam"]
    assert len(tape.updates) == tape.steps == 6


def test_an_optimizer_that_moves_weights_around_anothers_step_is_the_one_that_steps(record: Record) -> None:
    mixed = "[p.data.mul_(0.9) for p in net.parameters() if self.count % 3 == 0]"
    tape = record(HEAD + WRAPPER.replace("AFTER", mixed))
    assert [o.name for o in tape.optimizers] == ["Wrapper"]
    assert len(tape.updates) == tape.steps == 6


def test_a_step_that_fails_does_not_hold_the_steps_after_it(record: Record) -> None:
    loop = """
def failing():
    closure()
    raise KeyError


optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
other = torch.optim.SGD(net.parameters(), lr=0.2)
for step in range(5):
    try:
        optimizer.step(failing)
    except KeyError:
        other.step()
"""
    tape = record(HEAD + loop)
    assert [(u.after, u.rates) for u in tape.updates] == [(n, (0.2,)) for n in range(1, 6)]


def test_groups_added_later_have_no_rate_before(record: Record) -> None:
    loop = """
optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
for step in range(6):
    if step == 3:
        optimizer.add_param_group({"params": net[0].parameters(), "lr": 0.05})
    net.zero_grad()
    loss_of().backward()
    optimizer.step()
"""
    tape = record(HEAD + loop)
    assert [u.rates for u in tape.updates] == [(0.1, 0.0)] * 3 + [(0.1, 0.05)] * 3
    assert all(p.optimizer == 0 for p in tape.parameters)


def test_evaluations_under_inference_mode_are_recorded(record: Record) -> None:
    loop = """
optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
with torch.inference_mode():
    doubled = x * 2
for step in range(5):
    closure()
    optimizer.step()
    with torch.inference_mode():
        F.binary_cross_entropy_with_logits(net(x.clone()).squeeze(1), y)
        net(doubled)
"""
    tape = record(HEAD + loop)
    assert not tape.notes
    assert [e.after for e in tape.evaluations] == [n for n in range(1, 6) for _ in range(2)]
    kept = {tape.evaluations[n].outside for n in (1, 3)}
    assert len(kept) == 1


def test_the_dtype_that_autocast_casts_to_is_that_of_the_device(record: Record) -> None:
    loop = """
optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
for device, dtype in (("cpu", torch.bfloat16), ("cpu", torch.float16), ("cuda", torch.float16)):
    optimizer.zero_grad()
    with torch.autocast(device, dtype):
        loss = loss_of()
    loss.backward()
    optimizer.step()
"""
    tape = record(HEAD + loop)
    casts = [{c.cast for c in tape.programs[p.program].calls} for p in tape.passes]
    assert casts[0] == {"bfloat16"}
    assert casts[1] == {"float16"}
    assert casts[2] == {""}


def test_a_function_with_its_own_backward_cuts_no_gradient(record: Record) -> None:
    loop = """
from torch.utils.checkpoint import checkpoint


class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        return a.clamp(min=0).mul(0.5)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for between in (Half.apply, lambda h: checkpoint(net[1], h, use_reentrant=True)):
    optimizer.zero_grad()
    F.binary_cross_entropy_with_logits(net[2](between(net[0](x))).squeeze(1), y).backward()
    optimizer.step()
"""
    own, repeated = record(HEAD + loop).programs
    assert "Half" in own.missing
    assert not repeated.missing
    assert taught_by(own) == taught_by(repeated) == {*own.weights()}
