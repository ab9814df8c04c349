"""Printed numbers against recomputed ones, and what a patch changes in the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.recount import recounted
from unstuck.rules import loss_keeps_graph, metric_error
from unstuck.rules.catalogue import catalogue
from unstuck.signals.printed import Printed
from unstuck.signals.recomputed import Recomputed
from unstuck.source.text import Sources
from unstuck.tape.model import Said, Tape

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(700, 6)
y = (x[:, 0] + x[:, 1] > 0).{dtype}()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, {outputs}))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.{loss}()
history = []
for epoch in range({epochs}):
    model.train()
    hits = 0
    for i in range(0, 600, 20):
        out = model(x[i : i + 20]){squeeze}
        loss = loss_fn(out, y[i : i + 20])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hits += ({decide} == y[i : i + 20]).sum().item()
        {kept}
    model.eval()
    right = 0
    with torch.no_grad():
        for i in range(600, 700, 25):
            out = model(x[i : i + 25]){squeeze}
            right += ({decide} == y[i : i + 25]).sum().item()
    {said}
"""
CLASSES = {"dtype": "long", "outputs": 2, "loss": "CrossEntropyLoss", "squeeze": "", "decide": "out.argmax(1)"}
BINARY = {
    "dtype": "float", "outputs": 1, "loss": "BCEWithLogitsLoss", "squeeze": ".squeeze(1)", "decide": "(out > 0).float()"
}  # fmt: skip


def _script(said: str, kept: str = "history.append(loss.item())", epochs: int = 3, **task: object) -> str:
    return SCRIPT.format(**{**CLASSES, **task}, said=said, kept=kept, epochs=epochs)


def _found(tape: Tape, fault: str) -> list[Finding]:
    return examine(Readings(tape), {fault: catalogue()[fault]})[0]


@pytest.mark.parametrize("task", [CLASSES, BINARY])
@pytest.mark.parametrize(
    "said",
    [
        "print(epoch, 'accuracy', right / 100)",
        "print(f'epoch {epoch}: train acc {hits / 600:.3f}, val acc {right / 100:.3f}')",
        "print('Accuracy: %d %%' % right)",
        "print('train accuracy', hits / 600)",
        "print({'loss': loss.item(), 'val_acc': right / 100})",
    ],
)
def test_a_right_accuracy_is_the_one_we_count(said: str, task: dict[str, object], tmp_path: Path) -> None:
    tape = tape_of(_script(said, **task), tmp_path)
    assert max(r.off for r in Recomputed.read(tape).all) < 1e-3
    assert not _found(tape, "metric-error")


@pytest.mark.parametrize("task", [CLASSES, BINARY])
@pytest.mark.parametrize("said", ["print('accuracy', right / 600)", "print('val acc', 1 - right / 100)"])
def test_a_wrong_one_is_found_by_counting(said: str, task: dict[str, object], tmp_path: Path) -> None:
    text = _script(said, **task)
    tape = tape_of(text, tmp_path)
    (finding,) = _found(tape, "metric-error")
    assert finding.site is not None
    assert "print(" in text.splitlines()[finding.site.line - 1]
    assert finding.effect.word == "proven"


def test_every_answer_against_every_target(tmp_path: Path) -> None:
    text = _script("print('accuracy', right / 25 / 100)", **BINARY)
    head, tail = text.split("model.eval()")
    tape = tape_of(head + "model.eval()" + tail.replace(".squeeze(1)", ""), tmp_path)
    (finding,) = _found(tape, "metric-error")
    (remedy,) = finding.remedies
    assert finding.site == remedy.loss
    new = remedy.edit(Sources(dict(tape.sources), "train.py")).files["train.py"]
    assert "(out > 0).float().squeeze(-1) == y[i : i + 25]" in new


@pytest.mark.parametrize(
    "said",
    [
        "print('best acc', 0.2)",
        "print('smoothed acc', 0.3)",
        "print('top-1 class accuracy', 0.1)",
        "print('loss', 7.5)",
    ],
)
def test_numbers_that_mean_something_else_are_left_alone(said: str, tmp_path: Path) -> None:
    assert not _found(tape_of(_script(said), tmp_path), "metric-error")


def test_every_graph_kept_is_found_where_the_text_hides_it(tmp_path: Path) -> None:
    text = _script("print(len(history))", kept="(lambda **k: history.append(k))(of=loss)", epochs=6)
    (finding,) = _found(tape_of(text, tmp_path), "loss-keeps-graph")
    assert "180" in finding.effect.because


def test_what_the_run_denies_is_not_said(tmp_path: Path) -> None:
    text = _script("print(len(history))", kept="history.append(loss); history.clear()")
    assert not _found(tape_of(text, tmp_path), "loss-keeps-graph")


def _pair(before: str, after: str, folder: Path) -> tuple[Tape, Tape]:
    for name in ("a", "b"):
        (folder / name).mkdir()
    return tape_of(before, folder / "a"), tape_of(after, folder / "b")


def test_a_corrected_number_is_verified(tmp_path: Path) -> None:
    wrong, right = _pair(_script("print('accuracy', right / 600)"), _script("print('accuracy', right / 100)"), tmp_path)
    assert "recomputed" in (metric_error.verify(wrong, right) or "")
    assert metric_error.verify(wrong, wrong) is None
    assert recounted(wrong, right, "metric-error") is not None
    assert recounted(right, wrong, "metric-error") is None


def test_another_number_for_the_same_training_is_verified(tmp_path: Path) -> None:
    wrong, right = _pair(_script("print('loss', sum(history))"), _script("print('loss', loss.item())"), tmp_path)
    assert "training is unchanged" in (metric_error.verify(wrong, right) or "")


def test_freed_graphs_are_verified(tmp_path: Path) -> None:
    kept, freed = _pair(
        _script("print(epoch)", kept="history.append(loss)", epochs=6), _script("print(epoch)", epochs=6), tmp_path
    )
    assert "176 of 180" in (loss_keeps_graph.verify(kept, freed) or "")
    assert loss_keeps_graph.verify(freed, kept) is None


def _tape(*lines: str) -> Tape:
    return Tape(script="train.py", folder="", torch="", stopped="", said=tuple(Said(0, 0, -1, t) for t in lines))


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ("RESULT accuracy 0.454", "RESULT accuracy 0.99", "heals"),
        ("RESULT accuracy 0.80", "RESULT accuracy 0.88", "helps"),
        ("RESULT accuracy 0.80", "RESULT accuracy 0.81", None),
        ("RESULT accuracy 0.99", "RESULT accuracy 0.454", None),
        ("val loss 2.5 acc 45 %", "val loss 0.1 acc 99 %", "heals"),
        ("val loss 0.1 acc 45 %", "val loss 2.5 acc 99 %", None),
        ("mean 3.0", "mean 9.0", None),
    ],
)
def test_a_better_score_is_a_proof(before: str, after: str, word: str | None) -> None:
    told = recounted(_tape(before), _tape(after), "softmax-dim")
    assert (told.word if told else None) == word


def test_numbers_and_their_words() -> None:
    (line,) = Printed.read(_tape("Epoch 3/15 | val_loss: 1.2e-3, Accuracy: 93.5% (87/93) tensor(nan)")).lines
    values = [(n.value, " ".join(n.words)) for n in line.numbers[:4]]
    assert values == [(3, "epoch"), (15, ""), (1.2e-3, "val loss"), (93.5, "accuracy")]
    assert line.numbers[3].share == 0.935
    assert line.numbers[3].step == pytest.approx(0.05)
    assert len(line.numbers) == 7
