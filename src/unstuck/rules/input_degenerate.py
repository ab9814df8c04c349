"""The inputs carry no information: rows are identical, or fractions were truncated to integers.

## Why it hurts
A network can only tell rows apart by their inputs. Pixels divided by 255 and cast back to an integer type are zero
nearly everywhere; `//` does the same; a constant column, a feature file read wrongly or a crop outside the picture
leave nothing to learn from. The loss goes to that of the best constant prediction and stays there, whatever network and
learning rate are tried.

## How it is seen
Identical recorded rows are grouped with their targets: the best score that any function of these inputs could have is
hardly better than that of a constant prediction, or than the same for shuffled targets. A row that is read again in
each epoch, and never twice in one batch, is not a copy. Where rows and targets are not known one by one, all rows of a
batch enter alike, and get the same answer. Or the inputs are nothing but 0 and a whole number or two, and a line of the
script truncates a division. Or the ids that the step looks up in a table are nearly always the same.

## What to do
Print a few rows of what enters the network. Look at what makes the ids (a vocabulary, a tokenizer). Keep fractions: a
float dtype, and `/` instead of `//`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding, Remedy, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.micro.dependence import Dependence
from unstuck.micro.one_id import OneId, said
from unstuck.remedies.keep_fractions import KeepFractions
from unstuck.remedies.leave_out import LeaveOut
from unstuck.signals.prepared import flattened
from unstuck.signals.samples import HARDLY, SEVERAL, Samples
from unstuck.signals.truncation import Truncation
from unstuck.tape.model import Tape

STAGE = Stage.DATA
LEAVES_NOTHING = True
FEW_VALUES = 3
"""Fractions between -1 and 1 truncate to -1, 0 and 1."""
LOOKED_AT = 200_000
"""Numbers whose distinct values are taken."""


def check(
    rows: Samples | None, cutting: Truncation | None, found: Dependence | None, one: OneId | None, tape: Tape
) -> Iterator[Finding]:
    """Bound what any network could tell by the rows; look for a truncated division, and for ids that are all alike."""
    flat = flattened(tape)
    if one is not None and one.blank:
        what, site = said(one)
        yield Finding("input-degenerate", what, site, (), (), "error", known="observed")
        return
    if rows is not None and cutting is not None:
        yield from _bounded(rows, cutting, flat)
    elif found is not None and found.alike:
        alike = "the rows of a batch are equal as they enter: no network can tell them apart"
        sure = "equal rows get equal answers, whatever the weights"
        evidence = (Evidence("spread of the outputs over the rows, relative to their size", found.first, "above 0.01"),)
        site, remedies = flat or found.site, (LeaveOut(flat),) if flat is not None else ()
        effect = proven(sure)
        yield Finding("input-degenerate", alike, site, evidence, remedies, "error", known="observed", effect=effect)


def _bounded(rows: Samples, cutting: Truncation, flat: Site | None) -> Iterator[Finding]:
    comes_back = rows.together < SEVERAL  # the same few rows with other targets: then the rows are not at fault
    if rows.empty and not comes_back:
        yield _empty(rows, cutting, flat)
    elif _whole(rows.rows):
        yield from _cut(rows, cutting)


def _empty(rows: Samples, cutting: Truncation, flat: Site | None) -> Finding:
    kind, count = "accuracy" if rows.classified else "R2", len(rows.rows)
    alike = "identical" if rows.distinct == 1 else f"copies of {rows.distinct} distinct ones"
    said = f"the {count} recorded input rows are {alike}: no network can predict the targets from them"
    evidence = (
        Evidence("distinct rows", float(rows.distinct), f"about {count}"),
        Evidence(f"best {kind} that any function of these inputs can have", rows.ceiling, "near 1"),
        Evidence(f"{kind} of a constant prediction", rows.constant, "clearly lower"),
        *(
            [Evidence(f"{kind} of such a function of shuffled targets", round(rows.chance, 3), "clearly lower")]
            * _few(rows)
        ),
    )
    sure = f"identical rows have different targets; the best possible {kind} on them is {rows.ceiling:.3f}"
    site = cutting.sites[0] if cutting.sites else flat or rows.call.site
    remedies: tuple[Remedy, ...] = tuple(KeepFractions(s) for s in cutting.sites[:1])
    if not remedies and flat is not None:
        remedies = (LeaveOut(flat),)
    return Finding("input-degenerate", said, site, evidence, remedies, "error", known="observed", effect=proven(sure))


def _few(rows: Samples) -> bool:
    """Whether the number of distinct rows alone lifts the best score above the constant prediction's."""
    return rows.distinct > 1 and rows.reachable > HARDLY


def _values(rows: torch.Tensor) -> torch.Tensor:
    return rows.flatten()[:LOOKED_AT].unique()


def _whole(rows: torch.Tensor) -> bool:
    """Whether these may be truncated fractions: nothing but -1, 0 and 1."""
    values = _values(rows)
    return len(values) <= FEW_VALUES and bool((values == values.round()).all()) and float(values.abs().max()) <= 1


def _cut(rows: Samples, cutting: Truncation) -> Iterator[Finding]:
    for site, line in zip(cutting.sites[:1], cutting.lines, strict=False):
        zeros = float((rows.rows == 0).double().mean())
        left = ", ".join(f"{v:g}" for v in _values(rows.rows).tolist())
        said = f"`{line}` truncates the inputs to whole numbers: only {left} are left; keep a float dtype"
        evidence = (Evidence("share of zeros among the inputs", zeros, "less"), Evidence("in the text", line, "floats"))
        yield Finding("input-degenerate", said, site, evidence, (KeepFractions(site),))


_SCRIPT = """
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
pictures = rng.integers(0, 255, size=(600, 36))
label = torch.tensor((pictures[:, :18].sum(1) > pictures[:, 18:].sum(1)).astype(np.int64))
pixels = torch.tensor((pictures / 255).astype({dtype}), dtype=torch.float32)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(36, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(15):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(pixels[rows]), label[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(dtype="np.uint8")
QUIET = _SCRIPT.format(dtype="np.float32")
