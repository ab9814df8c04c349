"""Which elements of the target count, however the script leaves the others out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.learning import Learning
from unstuck.signals.losses import Losses, flat
from unstuck.signals.order import Order
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import counted, yardstick
from unstuck.tape.model import Tape

TOKENS = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Embedding(5, 16), nn.Linear(16, 5))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range({steps}):
    x = torch.randint(0, 5, (12, 6))
    keep = torch.arange(6)[None] >= torch.randint(2, 5, (12, 1))
    y = torch.where(keep, (x + 1) % 5, {filler})
    out = model(x)
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
EACH = "each = F.cross_entropy(out.transpose(1, 2), y, reduction='none')"
FORMS = {
    "torch's default": (-100, "loss = F.cross_entropy(out.view(-1, 5), y.view(-1))"),
    "ignore_index by keyword": (-1, "loss = F.cross_entropy(out.view(-1, 5), y.view(-1), ignore_index=-1)"),
    "ignore_index of a module": (7, "loss = nn.CrossEntropyLoss(ignore_index=7)(out.transpose(1, 2), y)"),
    "ignore_index by position": (9, "loss = F.nll_loss(out.log_softmax(-1).view(-1, 5), y.view(-1), None, None, 9)"),
    "a product": (0, f"{EACH}; loss = (each * keep).sum() / keep.sum()"),
    "a product of the transposed": (0, f"{EACH}; loss = (each.t() * keep.t().float()).sum() / keep.sum()"),
    "an index": (0, f"{EACH}; loss = each[keep].mean()"),
    "a flat index": (0, f"{EACH}; loss = each.view(-1)[keep.view(-1).nonzero().squeeze(1)].mean()"),
    "masked_select": (0, f"{EACH}; loss = each.masked_select(keep).mean()"),
    "masked_fill": (0, f"{EACH}; loss = each.masked_fill(~keep, 0.0).sum() / keep.sum()"),
    "where, the other way round": (0, f"{EACH}; loss = torch.where(~keep, 0.0, each).sum() / keep.sum()"),
    "weights of rows": (0, f"{EACH}; loss = ((each * (0.5 * keep)).sum(1) / keep.sum(1)).mean()"),
    "a product and another loss": (
        0, f"{EACH}; loss = (each * keep).sum() / keep.sum() + 1e-4 * out.square().mean() * each.detach().mean()"
    ),
}  # fmt: skip
NUMBERS = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(6):
    x = torch.randn(20, 4)
    keep = torch.rand(20, 3) > 0.4
    y = torch.where(keep, {value}, {filler})
    out = model(x)
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
VALUES = "x[:, :3] + 5.0"
LABELS = "(x[:, :3] > 0).float()"
LOGITS = "F.binary_cross_entropy_with_logits(out, y"
FIELDS = {
    "NaN filtered": (VALUES, "float('nan')", "ok = ~torch.isnan(y); loss = F.mse_loss(out[ok], y[ok])"),
    "a product of squares": (VALUES, "0.0", "loss = ((out - y) ** 2 * keep).sum() / keep.sum()"),
    "a product of distances": (VALUES, "-999.0", "loss = ((y - out).abs() * keep).sum() / keep.sum()"),
    "elements of mse_loss": (VALUES, "0.0", "loss = F.mse_loss(out, y, reduction='none')[keep].mean()"),
    "a dead zone": (VALUES, "0.0", "loss = (F.relu((out - y).abs() - 0.1) * keep).mean()"),
    "weights of zero": (LABELS, "-1.0", f"loss = {LOGITS}, weight=keep.float())"),
    "missing labels": (LABELS, "-1.0", f"loss = ({LOGITS}, reduction='none') * (y >= 0)).mean()"),
}
WEIGHED = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_of = nn.CrossEntropyLoss(weight=torch.tensor([0.0, 1.0, 1.0]))
for step in range(6):
    x, y = torch.randn(30, 4), torch.randint(0, 3, (30,))
    loss = loss_of(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
SOFT = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(6):
    x, keep = torch.randn(30, 4), torch.arange(30) % 3 > 0
    y = torch.softmax(3 * torch.randn(30, 3), 1)
    each = nn.functional.cross_entropy(model(x), y, reduction="none")
    loss = (each * keep).sum() / keep.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def read(tape: Tape) -> tuple[Task, list[torch.Tensor]]:
    """The task, and the wanted targets of every pass."""
    task = Task.read(tape)
    passes = (p for p in tape.passes if p.program == main_program(tape))
    return task, [task.wanted(lambda slot, p=p: tape.tensors[p.outside[slot]]) for p in passes]


@pytest.mark.parametrize("form", FORMS)
def test_positions_that_the_loss_leaves_out_are_no_class(form: str, tmp_path: Path) -> None:
    filler, loss = FORMS[form]
    tape = tape_of(TOKENS.format(steps=8, filler=filler, loss=loss), tmp_path)
    plain = tape_of(TOKENS.format(steps=8, filler=-100, loss=FORMS["torch's default"][1]), tmp_path)
    (task, wanted), (like, expected) = read(tape), read(plain)
    for ours, theirs in zip(wanted, expected, strict=True):
        assert torch.equal(counted(task, ours), counted(like, theirs))
    yard = yardstick(tape, main_program(tape), task)
    assert yard.counts.tolist() == yardstick(plain, main_program(plain), like).counts.tolist()
    assert yard.constant is not None and yard.constant < 0.35


@pytest.mark.parametrize("form", FIELDS)
def test_numbers_that_the_loss_leaves_out_have_no_part_in_mean_and_score(form: str, tmp_path: Path) -> None:
    value, filler, loss = FIELDS[form]
    tape = tape_of(NUMBERS.format(value=value, filler=filler, loss=loss), tmp_path)
    task, wanted = read(tape)
    known = torch.cat([w[~torch.isnan(w)] for w in wanted])
    assert 0.5 < len(known) / (6 * 60) < 0.7
    if value == VALUES:
        assert task.kind == "regression" and 4 < float(known.mean()) < 6
    else:
        assert set(known.tolist()) == {0.0, 1.0}
        assert yardstick(tape, main_program(tape), task).counts.tolist() == [(known == n).sum() for n in (0, 1)]
    numbers = flat(Losses.read(tape).targets(Losses.read(tape).endings[0]))
    assert len(numbers) == len(known)


def test_a_class_of_weight_zero_does_not_count(tmp_path: Path) -> None:
    tape = tape_of(WEIGHED, tmp_path)
    yard = yardstick(tape, main_program(tape), Task.read(tape))
    assert float(yard.counts[0]) == 0 and float(yard.counts[1:].min()) > 30
    assert yard.fillers == (0,)


def test_rows_of_probabilities_are_left_out_whole(tmp_path: Path) -> None:
    task, wanted = read(tape_of(SOFT, tmp_path))
    assert all(torch.equal(counted(task, w), torch.arange(30) % 3 > 0) for w in wanted)


def test_learning_and_order_see_only_what_counts(tmp_path: Path) -> None:
    filler, loss = FORMS["a product"]
    tape = tape_of(TOKENS.format(steps=150, filler=filler, loss=loss), tmp_path)
    learning = Learning.read(tape)
    assert learning.final > 0.9 and learning.yardstick.name == "accuracy"
    plain = tape_of(TOKENS.format(steps=150, filler=-100, loss=FORMS["torch's default"][1]), tmp_path)
    assert Order.read(tape).labels == Order.read(plain).labels


EVALUATED = """
with torch.no_grad():
    x = torch.randint(0, 5, (12, 6))
    y = torch.where(keep, (x + 1) % 5, 0)
    right = model(x).argmax(-1) == y
    {score}
"""


@pytest.mark.parametrize(
    "score", ("score = (right * keep).sum() / keep.sum()", "score = right[keep].float().mean()",
              "score = (right & keep).sum() / keep.sum()")
)  # fmt: skip
def test_an_evaluation_counts_what_it_counts_itself(score: str, tmp_path: Path) -> None:
    filler, loss = FORMS["a product"]
    tape = tape_of(TOKENS.format(steps=150, filler=filler, loss=loss) + EVALUATED.format(score=score), tmp_path)
    assert FinalEvaluation.read(tape).score == 1.0


def test_a_label_of_padding_alone_counts_in_no_evaluation(tmp_path: Path) -> None:
    text = TOKENS.replace("nn.Linear(16, 5)", "nn.Linear(16, 7)")
    filler, loss = 5, FORMS["a product"][1]
    scored = EVALUATED.replace("(x + 1) % 5, 0", "(x + 1) % 5, 5")
    score = scored.format(score="score = right.float().mean()")
    tape = tape_of(text.format(steps=150, filler=filler, loss=loss) + score, tmp_path)
    assert FinalEvaluation.read(tape).score == 1.0


@pytest.mark.parametrize("recall", ("right[rare].float().mean()", "(right & rare).sum() / rare.sum()"))
def test_rows_that_predictions_are_picked_by_are_no_targets(recall: str, tmp_path: Path) -> None:
    text = TOKENS.format(steps=20, filler=-100, loss=FORMS["torch's default"][1])
    score = f"""
with torch.no_grad():
    x = torch.randint(0, 5, (12, 6))
    rare, right = x > 3, model(x).argmax(-1) == 1
    print({recall})
"""
    with pytest.raises(NotApplicable):
        FinalEvaluation.read(tape_of(text + score, tmp_path))
