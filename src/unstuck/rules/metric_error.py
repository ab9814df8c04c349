"""A reported loss or accuracy is computed wrongly.

## Why it hurts

The network may learn well or not at all; the number that should tell says something else. A validation loss that stays
at 0, an accuracy of 3 % while the loss falls, above 100 %, or one that never moves makes people debug a network that
works, or trust one that does not.

## How it is seen

By recomputation: where the script prints an accuracy and the outputs and targets of that evaluation are recorded, it is
recomputed. The printed number is wrong if it matches no run of those batches, nor of the training batches before it.

In the source: a total that starts at zero, is printed and never accumulated, while its neighbour is added to twice; a
count of correct predictions that is assigned (`=`) in the batch loop instead of accumulated (`+=`); a sum over samples
divided by the number of batches, or a sum of batch means divided by the number of samples; a total that is divided per
epoch and never reset; logits thresholded at 0.5, probabilities at 0; `argmax` over the batch dimension; an entry of
`argsort()` that is divided by or whose logarithm is taken, as if it were a rank.

## What to do

Accumulate into the total that is reported, reset it where its divisor starts, divide a sum by the number of its terms,
and threshold logits at 0, probabilities at 0.5; take classes with `argmax(dim=1)`, and two classes of a
single output by a threshold: the largest of one entry is always entry 0. Ranks are `scores.argsort().argsort()`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.squeeze_prediction import SqueezePrediction
from unstuck.rules._decisions import wrong_decisions
from unstuck.rules._ranks import wrong_ranks
from unstuck.rules._reported import FAULT
from unstuck.rules._totals import wrong_totals
from unstuck.signals.losses import tail_of
from unstuck.signals.predictions import Predictions
from unstuck.signals.printed import Number, Printed
from unstuck.signals.recomputed import WRONG, Recomputed, Recounted, corrected
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Evaluation, Tape
from unstuck.tape.program import Call, Outside, Program, Ref, Value

STAGE = Stage.REPORTING
NEVER_MEANT = True
SAME = 1e-3
"""Relative difference of losses of one training run twice: rounding of float32 sums in another order."""


def check(
    predictions: Predictions, printed: Printed | None, recount: Recomputed | None, tape: Tape
) -> Iterator[Finding]:
    """Report what the source shows, proven by the recomputed accuracy; else a wrong accuracy by itself."""
    read = [
        *wrong_totals(predictions.totals, printed, _is_mean(tape)),
        *wrong_decisions(predictions, _width(tape)),
        *wrong_ranks(predictions.source),
    ]
    wrong = _miscounted(recount) if recount is not None else None
    if wrong is None:
        yield from read
    elif any(f.severity == "error" for f in read):
        yield from (_confirmed(f, wrong) for f in read)
    else:
        yield from (_misprinted(wrong, _spread(tape)), *read)


def _is_mean(tape: Tape) -> bool:
    """Whether no program of the training adds its rows up: such a total belongs over the number of samples."""
    programs = {p.program for p in tape.passes}
    return not any(_sums(call) for number in programs for call in tape.programs[number].calls)


def _width(tape: Tape) -> int:
    """The outputs per row of the recorded network's last layer; 0 where they are not known."""
    try:
        task, program = Task.read(tape), tape.programs[main_program(tape)]
    except NotApplicable:
        return 0
    _, layer = tail_of(program, Value(task.output) if task.output is not None else None)
    return layer.shape[1] if layer is not None and len(layer.shape) == 2 else 0


def _sums(call: Call) -> bool:
    return call.kwargs.get("reduction") == "sum" or (call.name == "sum" and call.shape == ())


def verify(before: Tape, after: Tape) -> str | None:
    """The accuracy printed wrongly is now the recomputed one, or another number is printed for the same training."""
    try:
        return corrected(before, after) or (None if _is_wrong(after) else _reported_otherwise(before, after))
    except NotApplicable:
        return None


def _is_wrong(tape: Tape) -> bool:
    """Whether an accuracy that can be recomputed is printed wrongly."""
    try:
        return _miscounted(Recomputed.read(tape)) is not None
    except NotApplicable:
        return False


def _reported_otherwise(before: Tape, after: Tape) -> str | None:
    if not before.losses or not _same(before.losses, after.losses):
        return None
    old, new = Printed.read(before).last(), Printed.read(after).last()
    pairs = [p for form in old.keys() & new.keys() for p in zip(old[form].numbers, new[form].numbers, strict=True)]
    was, now = max(pairs, key=lambda pair: _apart(*pair), default=(None, None))
    if was is None or now is None or not _apart(was, now) > WRONG:
        return None
    return f"training is unchanged; printed {' '.join(was.words)} {was.value:g} before, {now.value:g} after the patch"


def _apart(one: Number, other: Number) -> float:
    """Relative difference."""
    largest = max(abs(one.value), abs(other.value))
    return abs(one.value - other.value) / largest if largest else 0.0


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(abs(a - b) <= SAME * max(abs(a), abs(b)) for a, b in zip(one, other, strict=False))


def _miscounted(recount: Recomputed) -> Recounted | None:
    """The last printed accuracy, if it and most before it match no recomputed one."""
    off = [r.off > WRONG for r in recount.all]
    return recount.all[-1] if off[-1] and sum(off) > len(off) / 2 else None


def _counted(wrong: Recounted) -> Evidence:
    return Evidence("printed accuracy", f"{wrong.number.value:g}", f"{wrong.counted:.3f}, recomputed on the same rows")


def _shown(wrong: Recounted) -> str:
    return f"printed accuracy {wrong.number.value:g}, recomputed {wrong.counted:.3f} on the same {wrong.rows} rows"


def _confirmed(finding: Finding, wrong: Recounted) -> Finding:
    evidence = (*finding.evidence, _counted(wrong))
    return msgspec.structs.replace(finding, evidence=evidence, known="observed", effect=proven(_shown(wrong)))


def _misprinted(wrong: Recounted, spread: tuple[Call, int] | None) -> Finding:
    said, site, remedies = f"the {_shown(wrong)}", wrong.line.said.site, ()
    if spread is not None and spread[0].site is not None:
        site, remedies = spread[0].site, (SqueezePrediction(spread[0].site, spread[1]),)
        said += ": predictions (n, 1) are compared with targets (n,), which broadcasts to (n, n)"
    evidence = (_counted(wrong),)
    return Finding(FAULT, said, site, evidence, remedies, "error", known="observed", effect=proven(_shown(wrong)))


def _spread(tape: Tape) -> tuple[Call, int] | None:
    """A comparison of (n, 1) with (n,) in an evaluation, which gives (n, n), and the side of the (n, 1)."""
    for evaluation in tape.evaluations:
        program = tape.programs[evaluation.program]
        for call in (c for c in program.calls if c.name in ("eq", "ne") and _square(c.shape)):
            columns = [n for n, ref in enumerate(call.refs()) if _column(tape, evaluation, program, ref)]
            if len(call.refs()) == 2 and len(columns) == 1:
                return call, columns[0]
    return None


def _square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1] > 1


def _column(tape: Tape, evaluation: Evaluation, program: Program, ref: Ref) -> bool:
    maker = program.maker(ref)
    shape = maker.shape if maker else ()
    if isinstance(ref, Outside):
        shape = tuple(tape.tensors[evaluation.outside[ref.slot]].shape)
    return len(shape) == 2 and shape[1] == 1


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] + x[:, 1] > 0).long()
train_loader = DataLoader(TensorDataset(x[:400], y[:400]), batch_size=20, shuffle=True)
val_loader = DataLoader(TensorDataset(x[400:], y[400:]), batch_size=20)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(5):
    train_loss = 0.0
    val_loss = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    with torch.no_grad():
        for xb, yb in val_loader:
            {added} += loss_fn(model(xb), yb).item()
    print(epoch, "train", train_loss / len(train_loader), "val", val_loss / len(val_loader))
"""

FIRES = _SCRIPT.format(added="train_loss")
QUIET = _SCRIPT.format(added="val_loss")
