"""What is asked for: a target that a loss meets is not always the answer for its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.whole_runs import run_of
from unstuck.signals.learning import Learning
from unstuck.signals.task import Task, alternate, last_fit, main_program

SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
rows = torch.randn(240, 4)
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, {outputs}))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range({steps}):
    x = rows[torch.randperm(240)[:24]]
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
Q = "y = x[:, :1] + 1; e = y - model(x)"
CASES = {
    "squares by hand": (1, f"{Q}; loss = e.pow(2).mean()", "regression"),
    "distances by hand": (1, f"{Q}; loss = e.abs().mean()", "regression"),
    "one quantile": (1, f"{Q}; loss = torch.maximum(0.9 * e, -0.1 * e).mean()", "unknown"),
    "three quantiles": (
        3, f"{Q}; q = torch.tensor([0.1, 0.5, 0.9]); loss = torch.maximum(q * e, (q - 1) * e).mean()", "unknown"
    ),
    "a policy's advantage": (2, "e = x[:, 0] - model(x)[:, 0]; loss = -(torch.randn(24) * e).mean()", "unknown"),
    "an actor and its critic": (
        3,
        "o = model(x); a = torch.randint(0, 2, (24,)); r = x[:, 0] + a; "
        "p = F.log_softmax(o[:, :2], 1)[range(24), a.numpy()]; "
        "loss = F.mse_loss(o[:, 2], r) - (p * (r - o[:, 2].detach())).mean()",
        "unknown",
    ),
    "the larger of two clipped terms, and a critic": (
        3,
        "o = model(x); a = torch.randint(0, 2, (24,)).numpy(); v = torch.randn(24); r = x[:, 0]; "
        "p = F.log_softmax(o[:, :2], 1)[range(24), a]; q = (p - p.detach()).exp(); "
        "loss = torch.max(-v * q, -v * q.clamp(0.8, 1.2)).mean() + (o[:, 2] - r).pow(2).mean()",
        "unknown",
    ),
    "rows weighted, never below 0": (
        3, "w = x[:, 0].abs(); loss = (w * F.cross_entropy(model(x), x[:, :3].argmax(1), reduction='none')).mean()",
        "classes",
    ),
    "shares of the classes by hand": (
        3,
        "s = (0.9 * F.one_hot(x[:, :3].argmax(1), 3) + 0.1 / 3).float(); "
        "loss = -(s * model(x).log_softmax(1)).sum(1).mean()",
        "classes",
    ),
    "rewards of the classes by hand": (3, "loss = -(x[:, :3] * model(x).log_softmax(1)).sum(1).mean()", "unknown"),
    "pairs of a batch": (
        8, "z = F.normalize(model(x), dim=1); loss = F.cross_entropy(z @ z.T / 0.5, torch.arange(24))", "unknown"
    ),
    "one side of two players": (
        1, "loss = F.binary_cross_entropy_with_logits(model(x), torch.ones(24, 1))", "unknown"
    ),
    "classes": (3, "loss = F.cross_entropy(model(x), x[:, :3].argmax(1))", "classes"),
    "two labels": (1, "loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], (x[:, 0] > 0).float())", "binary"),
    "smoothed labels": (
        1, "loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], (x[:, 0] > 0) * 0.9 + 0.05)", "binary"
    ),
    "grey values": (4, "loss = F.binary_cross_entropy(model(x).sigmoid(), x.sigmoid())", "regression"),
    "grey values from logits": (
        4, "loss = F.binary_cross_entropy_with_logits(model(x), x.sigmoid())", "regression"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_kinds(case: str, tmp_path: Path) -> None:
    outputs, loss, kind = CASES[case]
    assert Task.read(tape_of(SCRIPT.format(outputs=outputs, steps=12, loss=loss), tmp_path)).kind == kind


FLAT = {
    "one number for all rows": ("(x[:, :1] * 0).long().float()", "all recorded targets are equal"),
    "a pair for each row": ("torch.arange(24.0)[:, None]", ""),
    "one number for each batch": ("x[0, 0].expand(24, 1)", ""),
}


@pytest.mark.parametrize("case", FLAT)
def test_targets_that_are_all_equal_are_said_to_be(case: str, tmp_path: Path) -> None:
    target, said = FLAT[case]
    run = run_of(tape_of(SCRIPT.format(outputs=1, steps=12, loss=f"loss = F.mse_loss(model(x), {target})"), tmp_path))
    assert run.unjudged == said


def test_grey_values_are_scored_as_probabilities(tmp_path: Path) -> None:
    outputs, loss, _ = CASES["grey values from logits"]
    learning = Learning.read(tape_of(SCRIPT.format(outputs=outputs, steps=300, loss=loss), tmp_path))
    assert learning.yardstick.name == "r2" and learning.final > 0.8


@pytest.mark.parametrize(("given", "told"), [("model(x)", ""), ("model(x).exp()", ", log_input=False")])
def test_counts_are_scored_beside_the_rate_and_not_its_logarithm(given: str, told: str, tmp_path: Path) -> None:
    loss = f"loss = F.poisson_nll_loss({given}, x[:, :1].exp().mul(4).round(){told})"
    learning = Learning.read(tape_of(SCRIPT.format(outputs=1, steps=400, loss=loss), tmp_path))
    assert learning.yardstick.name == "r2" and learning.final > 0.8


def test_the_same_rows_and_targets_in_every_step_are_a_task(tmp_path: Path) -> None:
    loss = "x = rows[:4]; loss = F.cross_entropy(model(x), torch.arange(4))"
    assert Task.read(tape_of(SCRIPT.format(outputs=4, steps=12, loss=loss), tmp_path)).kind == "classes"


TURNS = """
import torch
from torch import nn

torch.manual_seed(0)
models = [nn.Linear(3, 1), nn.Linear(3, 1)]
optimizers = [torch.optim.SGD(m.parameters(), lr=0.1) for m in models]
for n in {order}:
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    loss = {loss}
    optimizers[n].zero_grad()
    loss.backward()
    optimizers[n].step()
"""
ALONE = "nn.functional.mse_loss(models[n](x), y)"
STUDENT = "nn.functional.mse_loss(models[n](x), models[0](x).detach() if n else y)"
POLICY = "(models[n](x) * y).mean() if n else nn.functional.mse_loss(models[n](x), y)"


@pytest.mark.parametrize(
    ("order", "loss", "players", "last"),
    [
        ("[0, 1] * 5", STUDENT, True, 10),
        ("[0, 1] * 5", POLICY, True, 10),
        ("[0, 1] * 5", ALONE, False, 5),
        ("[0] * 5 + [1] * 4", ALONE, False, 4),
        ("[0] * 5", ALONE, False, 5),
    ],
    ids=["one learns from the other", "one without targets", "side by side", "one after the other", "one network"],
)
def test_players_step_all_along_and_need_each_other(
    order: str, loss: str, players: bool, last: int, tmp_path: Path
) -> None:
    tape = tape_of(TURNS.format(order=order, loss=loss), tmp_path)
    assert (alternate(tape), len(last_fit(tape))) == (players, last)


@pytest.mark.parametrize(
    ("order", "judged"), [([0, 1] * 5, 1), ([0, 1] * 5 + [0], 1), ([0, 0, 1] * 5, 0)], ids=["equal", "cut", "more"]
)
def test_of_networks_side_by_side_one_is_judged(order: list[int], judged: int, tmp_path: Path) -> None:
    tape = tape_of(TURNS.format(order=order, loss=ALONE), tmp_path)
    assert main_program(tape) == next(p.program for p, n in zip(tape.passes, order, strict=True) if n == judged)


STEPS = """
import torch
from torch import nn

torch.manual_seed(0)
codes = torch.randint(1, 5, (200, 6))
codes[:, 4:] = {end}
table, cell, last = nn.Embedding(5, 8), nn.GRUCell(8, 16), nn.Linear(16, 5)
optimizer = torch.optim.Adam([*table.parameters(), *cell.parameters(), *last.parameters()], lr=0.01)
criterion = {loss}
for rows in torch.randperm(200).split(20):
    h, loss = torch.zeros(20, 16), 0
    for step in range(5):
        h = cell(table(codes[rows, step]), h)
        loss = loss + criterion(last(h), {wanted})
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
IDS, NEXT = "nn.CrossEntropyLoss(ignore_index=0)", "codes[rows, step + 1]"


@pytest.mark.parametrize(
    ("end", "loss", "wanted", "judged"),
    [
        ("codes[:, :2].flip(1)", IDS, NEXT, 4),
        ("0", IDS, NEXT, 2),
        ("codes[:, :2]", "nn.MSELoss()", "nn.functional.one_hot(codes[rows, step + 1], 5).float()", 4),
    ],
    ids=["whole", "padded", "numbers"],
)
def test_of_a_loop_over_a_sequence_the_last_step_that_asks_is_judged(
    end: str, loss: str, wanted: str, judged: int, tmp_path: Path
) -> None:
    tape = tape_of(STEPS.format(end=end, loss=loss, wanted=wanted), tmp_path)
    losses = [c for c in tape.programs[0].calls if c.name in ("cross_entropy", "mse_loss")]
    assert Task.read(tape).loss is losses[judged]
