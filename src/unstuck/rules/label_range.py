"""The targets are out of the range that the loss takes: class ids not 0 to C-1, or not 0 and 1.

## Why it hurts
`CrossEntropyLoss` uses a label as the index of an output, counted from zero: labels from 1 to C end with "Target C is
out of bounds" (on a GPU, with a device-side assert). `BCELoss` and `BCEWithLogitsLoss` weigh two logarithms with the
target and one minus the target: with targets 1 and 2, or -1 and 1, one weight is negative, the loss has no minimum, and
ever larger outputs for every row lower it. `SoftMarginLoss`, `CosineEmbeddingLoss`,
`MarginRankingLoss` and `HingeEmbeddingLoss` take 1 and -1; rows with a target of 0 have no gradient, or another one.
Class ids that were divided and cast back to whole numbers are all 0: predicting class 0 for every row has no error.
`CTCLoss` takes one number for its blank, by default 0: a label with that number can never be told from no label.

## How it is seen
The recorded targets are compared with the range that their loss takes; if the run ended with torch's error, those of
the batch that was refused. Class ids are compared over the whole run: they must not all be the same.

## What to do
Recode the labels where they are made: subtract the smallest, so that they count from zero; cast class ids to `long`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding, Remedy, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.cast_targets import CastTargets
from unstuck.remedies.keep_labels import KeepLabels
from unstuck.remedies.recode_targets import RecodeTargets
from unstuck.remedies.relabel import Relabel
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.signals.refusal import Refusal, refusal
from unstuck.signals.truncation import Truncation
from unstuck.tape.model import Tape
from unstuck.tape.ops import names
from unstuck.tape.program import Call, Outside

STAGE = Stage.TARGETS
FAULT = "label-range"
PROBABILITIES = names(lambda op: op.scale in ("probability", "logit") and not op.classes) - {"soft_margin_loss"}
CLASSES = names(lambda op: op.classes)
SLACK = 1e-6
"""Rounding of float32 near 1 is 1.2e-7."""
BATCHES = 8
"""Steps, spread over the run, whose batches hold one class id: in a sorted set one of eight holds another."""
BYTE, PERCENT = 255.0, 100.0


SIGNED = {
    "cosine_embedding_loss": (2, "target"),
    "hinge_embedding_loss": (1, "target"),
    "margin_ranking_loss": (2, "target"),
}
"""Losses of pairs that take -1 and 1 only, and where they take them: each is 0, or one and the same, for target 0."""


def check(tape: Tape, losses: Losses | None, cutting: Truncation) -> Iterator[Finding]:
    """Look at the targets that torch refused, and at those of every loss."""
    yield from _of_pairs(tape)
    yield from _of_blanks(tape)
    stopped = refusal(tape)
    if stopped is not None:
        yield from _refused(stopped)
    if losses is not None:
        for ending in losses.endings:
            if ending.loss.name in PROBABILITIES:
                yield from _of_probabilities(losses, ending)
            elif ending.loss.name == "soft_margin_loss":
                yield from _of_margins(losses, ending)
            elif ending.loss.name in CLASSES:
                yield from _of_classes(losses, ending, cutting)


# -- what was recorded ------------------------------------------------------------------------------------------------


def _of_probabilities(losses: Losses, ending: Ending) -> Iterator[Finding]:
    numbers, site = flat(losses.targets(ending)), ending.loss.site
    if not len(numbers) or site is None or (numbers.min() >= -SLACK and numbers.max() <= 1 + SLACK):
        return
    low, high = float(numbers.min()), float(numbers.max())
    said = f"{ending.loss.name} takes targets from 0 to 1, but gets {low:g} to {high:g}"
    sure = f"with targets from {low:g} to {high:g}, this loss has no minimum"
    yield _finding(said, site, low, high, "0 to 1", _recoding(low, high, len(numbers.unique()), site), sure)


def _of_margins(losses: Losses, ending: Ending) -> Iterator[Finding]:
    numbers, site = flat(losses.targets(ending)), ending.loss.site
    if len(numbers) and site is not None and set(numbers.unique().tolist()) == {0.0, 1.0}:
        said = "soft_margin_loss takes targets of -1 and 1, but gets 0 and 1: rows with target 0 have no gradient"
        yield _finding(said, site, 0.0, 1.0, "-1 and 1", (), "with target 0, this loss is the same for every output")


def _of_pairs(tape: Tape) -> Iterator[Finding]:
    """Targets of pairs other than -1 and 1, in any step."""
    for number, program in enumerate(tape.programs):
        for call in program.calls:
            place = SIGNED.get(call.name)
            target = program.source(call.argument(*place)) if place is not None else None
            if not isinstance(target, Outside) or call.site is None:
                continue
            keys = dict.fromkeys(p.outside[target.slot] for p in tape.passes if p.program == number)
            kinds = set().union(*(tape.tensors[k].double().unique().tolist() for k in list(keys)[:BATCHES]))
            if kinds and not kinds <= {-1.0, 1.0}:
                low, high = min(kinds), max(kinds)
                said = f"{call.name} takes targets of -1 and 1, but gets {low:g} to {high:g}"
                sure = "of every pair with another target the loss has no gradient, or pulls the wrong way"
                yield _finding(said, call.site, low, high, "-1 and 1", (), sure)


def _of_blanks(tape: Tape) -> Iterator[Finding]:
    """Targets of a CTC loss that hold its blank, which stands between labels and is none."""
    for number, program in enumerate(tape.programs):
        for call in (c for c in program.calls if c.name == "ctc_loss" and c.site is not None):
            passes, blank = [p for p in tape.passes if p.program == number][:BATCHES], call.argument(4, "blank", 0)
            labels = [x for p in passes if (x := _labels(tape, call, p.outside)) is not None]
            held, rows = sum(int((x == blank).sum()) for x in labels), sum(map(len, labels))
            if held:
                said = (
                    f"{held} of {rows} labels that ctc_loss gets are its blank ({blank}), which stands for no label: "
                    "give the blank a number of its own, the same in the loss and where answers are decoded"
                )
                evidence = (Evidence("labels that are the blank", f"{held} of {rows}", "0"),)
                yield Finding(FAULT, said, call.site, evidence, (), "error", known="observed", never_meant=True)


def _labels(tape: Tape, call: Call, outside: tuple[str, ...]) -> torch.Tensor | None:
    """The labels of a batch, without what fills up its rows."""
    target, lengths = call.argument(1, "targets"), call.argument(3, "target_lengths")
    if not isinstance(target, Outside):
        return None
    labels = tape.tensors[outside[target.slot]]
    counts = tape.tensors[outside[lengths.slot]] if isinstance(lengths, Outside) else torch.as_tensor(lengths)
    if labels.dim() == 2 and len(counts) == len(labels):
        return labels[torch.arange(labels.shape[1])[None] < counts[:, None]]
    return labels.reshape(-1) if labels.dim() == 1 else None


def _of_classes(losses: Losses, ending: Ending, cutting: Truncation) -> Iterator[Finding]:
    """One class id in all batches that were looked at, over the whole run: a constant output is perfect."""
    batches, output = losses.targets(ending), losses.shape(ending.output)
    if (
        not batches
        or len(losses.passes) < BATCHES
        or len(output) < 2
        or output[1] < 2
        or any(b.is_floating_point() for b in batches)
    ):
        return
    ids, rows = torch.cat([b.flatten() for b in batches]).unique(), sum(b.numel() for b in batches)
    site = cutting.sites[0] if cutting.sites else ending.loss.site
    if len(ids) != 1 or site is None:
        return
    cut = f"; `{cutting.lines[0]}` cuts off fractions" if cutting.sites else ""
    said = f"all {rows} targets that were looked at are class {int(ids[0])}, of {output[1]} classes{cut}"
    evidence = (Evidence("distinct class ids among the targets", 1, f"{output[1]}, one per output"),)
    if not cutting.sites:  # an adversarial loss may have one class by design
        yield Finding(FAULT, said, site, evidence, known="guessed")
        return
    sure = proven(f"a constant prediction of class {int(ids[0])} has no error: the targets carry no information")
    remedies = tuple(KeepLabels(s) for s in cutting.shares[:1])
    yield Finding(FAULT, said, site, evidence, remedies, "error", known="observed", effect=sure)


# -- what was refused -------------------------------------------------------------------------------------------------


def _refused(stopped: Refusal) -> Iterator[Finding]:
    target, words = stopped.target, stopped.message
    if target.smallest is None or target.largest is None:
        return
    site, sure = stopped.site, f"torch stopped the run here: {words.splitlines()[0][:120]}"
    low, high = target.smallest, target.largest
    if stopped.loss in CLASSES and "out of bounds" in words:
        classes = stopped.input.shape[1] if len(stopped.input.shape) > 1 else 0
        if classes == 1:
            return  # a cross-entropy of one output: the loss is wrong, not the labels
        fit = f"0 to {classes - 1}"
        said = f"labels from {low:g} to {high:g} do not fit the {classes} outputs of the network, which stand for {fit}"
        yield _finding(said, site, low, high, fit, _shifting(low, high, classes, site), sure)
    elif stopped.loss in CLASSES and target.floating and target.whole and len(target.shape) == 1:
        said = f"{stopped.loss} takes class ids of dtype long, but gets {target.dtype}"
        yield _finding(said, site, low, high, "whole numbers of dtype long", (CastTargets(site, "long"),), sure)
    elif stopped.loss in PROBABILITIES and (low < -SLACK or high > 1 + SLACK):
        said = f"{stopped.loss} takes targets from 0 to 1, but gets {low:g} to {high:g}"
        kinds = 2 if target.whole and high - low in (1.0, 2.0) else 3
        yield _finding(said, site, low, high, "0 to 1", _recoding(low, high, kinds, site), sure)
    elif stopped.loss not in CLASSES and not target.floating:
        said = f"{stopped.loss} takes targets of dtype float, but gets {target.dtype}"
        yield _finding(said, site, low, high, "floats", (CastTargets(site, "float"),), sure)


def _shifting(low: float, high: float, classes: int, site: Site) -> tuple[Remedy, ...]:
    """Shift labels that would fit if they counted from zero; one batch need not contain the smallest of them."""
    if low >= 1 and high == classes:
        return (Relabel(1, site),)
    return (Relabel(int(low), site),) if low and high - low < classes else ()


def _recoding(low: float, high: float, kinds: int, site: Site) -> tuple[Remedy, ...]:
    """Map two codes to 0 and 1, percentages and bytes to fractions; nothing is guessed about anything else."""
    if kinds == 2 and high > low:
        return (RecodeTargets(low, high - low, site),)
    full = PERCENT if PERCENT / 2 < high <= PERCENT else BYTE
    return (RecodeTargets(0.0, full, site),) if low >= 0 and 2 < high <= full and kinds > 2 else ()


def _finding(
    said: str, site: Site, low: float, high: float, expected: str, remedies: tuple[Remedy, ...], sure: str
) -> Finding:
    evidence = (Evidence("smallest target", low, expected), Evidence("largest target", high, expected))
    return Finding(FAULT, said, site, evidence, remedies, "error", known="observed", effect=proven(sure))


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(2)
x = torch.randn(500, 6)
code = (x[:, 0] - x[:, 3] > 0.3).float(){coding}
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
loss_fn = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for epoch in range(12):
    for rows in torch.randperm(500).split(20):
        optimizer.zero_grad()
        loss = loss_fn(model(x[rows]).squeeze(1), code[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(coding=" + 1")
QUIET = _SCRIPT.format(coding="")
