"""Steps as libraries make them, through the whole pipeline: closures in a trainer, optimizers of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole import diagnosed

DATA = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
rows, direction = torch.randn(1600, 20), torch.randn(20)
labels = (rows @ direction > 0).long()
"""
TRAINER = (
    DATA
    + """

class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))

    def training_step(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-5, momentum=0.9)


class Trainer:
    def fit(self, module, batches, epochs):
        optimizer = module.configure_optimizers()
        for epoch in range(epochs):
            for batch in batches():
                optimizer.step(closure=lambda: self.closure(module, optimizer, batch))
            print(epoch, self.last)

    def closure(self, module, optimizer, batch):
        loss = module.training_step(batch)
        optimizer.zero_grad()
        loss.backward()
        self.last = loss.item()
        return loss


def batches():
    for part in torch.randperm(1600).split(40):
        yield rows[part], labels[part]


Trainer().fit(Module(), batches, epochs=8)
"""
)
OWN = (
    DATA
    + """

class Optimizer:
    def __init__(self, params, steppers, **hypers):
        self.params, self.steppers, self.state = list(params), steppers, {}
        self.hypers = dict(hypers)

    @property
    def param_groups(self):
        return [{"params": self.params, **self.hypers}]

    def zero_grad(self):
        for p in self.params:
            if p.grad is not None:
                p.grad.detach_()
                p.grad.zero_()

    def step(self):
        for p in self.params:
            state = self.state.setdefault(p, {})
            for stepper in self.steppers:
                stepper(p, state, **self.hypers)


def average(p, state, mom, sqr_mom, **_):
    state["mean"] = state.get("mean", torch.zeros_like(p)) * mom + p.grad * (1 - mom)
    state["square"] = state.get("square", torch.zeros_like(p)) * sqr_mom + p.grad**2 * (1 - sqr_mom)
    state["count"] = state.get("count", 0) + 1


def adam(p, state, lr, mom, sqr_mom, eps, **_):
    mean = state["mean"] / (1 - mom ** state["count"])
    square = state["square"] / (1 - sqr_mom ** state["count"])
    p.data.addcdiv_(mean, square.sqrt() + eps, value=-lr)


model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = Optimizer(model.parameters(), [average, adam], lr=RATE, mom=0.9, sqr_mom=0.99, eps=1e-5)
for epoch in range(8):
    for part in torch.randperm(1600).split(40):
        loss = F.cross_entropy(model(rows[part]), labels[part])
        loss.backward()
        optimizer.step()
        CLEAR
    with torch.inference_mode():
        print(epoch, (model(rows).argmax(1) == labels).float().mean().item())
"""
)


@pytest.mark.net
def test_a_rate_that_is_too_low_inside_a_trainer_with_closures_is_the_cause(tmp_path: Path) -> None:
    whole = diagnosed(TRAINER, tmp_path / "trainer")
    (cause,) = whole.diagnosis.causes
    assert cause.fault == "lr-too-low"
    assert cause.site is not None
    assert "lr=1e-5" in TRAINER.splitlines()[cause.site.line - 1]
    assert whole.diagnosis.patch is not None and whole.diagnosis.patch.proven


@pytest.mark.net
def test_a_healthy_run_with_an_optimizer_of_its_own_has_no_finding_above_a_hint(tmp_path: Path) -> None:
    whole = diagnosed(OWN.replace("RATE", "0.01").replace("CLEAR", "optimizer.zero_grad()"), tmp_path / "own")
    assert not whole.diagnosis.causes
    assert not whole.diagnosis.suspects
    assert whole.diagnosis.steps == 320


@pytest.mark.net
def test_gradients_that_such_an_optimizer_never_clears_are_named(tmp_path: Path) -> None:
    whole = diagnosed(OWN.replace("RATE", "0.3").replace("CLEAR", "pass"), tmp_path / "uncleared")
    assert whole.loud("no-zero-grad")
