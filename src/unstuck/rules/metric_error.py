"""A loss or an accuracy that the script reports is computed wrongly.

## Why it hurts

The network may be learning well, or not at all: the number that should tell says something else. A validation loss
that stays at 0, an accuracy of 3 % beside a falling loss, one above 100 % or one that never moves send people to mend a
network that is not broken, or make them trust one that is.

## How it is seen

The text is read. A total starts at zero, is printed, and nothing is ever added to it while a neighbour is added to
twice. A count of right answers is assigned in the batch loop where it should grow, and is then divided by the number of
all samples. A count is divided by the number of batches, or the mean of each batch by the number of samples. A total is
divided per epoch but never starts again. Logits are rounded or compared with one half; probabilities are compared with
zero; the largest output is sought along the batch. Only forms that are wrong for certain are reported.

And the run is listened to: where an accuracy is printed and the outputs and targets since the last such line are on
the tape, they are counted. It is wrong where no stretch of those batches, nor of the training's, comes near to it.

## What to do

Add to the total that is reported, start it at zero where its divisor starts, divide a sum by the number of things that
were summed, and turn outputs into answers on the scale they are on: logits are compared with 0, probabilities with 0.5,
classes are picked with `argmax(dim=1)`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.squeeze_prediction import SqueezePrediction
from unstuck.rules._decisions import wrong_decisions
from unstuck.rules._totals import wrong_totals
from unstuck.signals.predictions import Predictions
from unstuck.signals.recomputed import WRONG, Recomputed, Recounted
from unstuck.tape.model import Evaluation, Tape
from unstuck.tape.program import Call, Outside, Program, Ref


def check(predictions: Predictions, recount: Recomputed | None, tape: Tape) -> Iterator[Finding]:
    """Totals first, then the decisions that are made on outputs; beside them, or by itself, what was counted."""
    read = [*wrong_totals(predictions.totals), *wrong_decisions(predictions)]
    wrong = _miscounted(recount) if recount is not None else None
    if wrong is None:
        yield from read
    elif any(f.severity == "error" for f in read):
        yield from (msgspec.structs.replace(f, evidence=(*f.evidence, _counted(wrong))) for f in read)
    else:
        yield from (_misprinted(wrong, _spread(tape)), *read)


def _miscounted(recount: Recomputed) -> Recounted | None:
    """The last accuracy printed, where it and most of those before it are none of the rows they are printed after."""
    off = [r.off > WRONG for r in recount.all]
    return recount.all[-1] if off[-1] and sum(off) > len(off) / 2 else None


def _counted(wrong: Recounted) -> Evidence:
    return Evidence("accuracy as printed", f"{wrong.number.value:g}", f"{wrong.counted:.3f}, counted on the same rows")


def _misprinted(wrong: Recounted, spread: tuple[Call, int] | None) -> Finding:
    said = f"accuracy {wrong.number.value:g} is printed, and {wrong.counted:.3f} of those {wrong.rows} rows are right"
    told = f"the outputs and targets on the tape, counted: {wrong.counted:.3f}; printed: {wrong.number.value:g}"
    call, side = spread or (None, 0)
    site, remedies = wrong.line.said.site, ()
    if call is not None and call.site is not None:
        site, remedies = call.site, (SqueezePrediction(call.site, side),)
        said += ": every answer is compared with every target"
    return Finding("metric-error", said, site, (_counted(wrong),), remedies, "error", demonstrated=told)


def _spread(tape: Tape) -> tuple[Call, int] | None:
    """A comparison of (n, 1) with (n,) in an evaluation, which gives (n, n), and the side of the former."""
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
