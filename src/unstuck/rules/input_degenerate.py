"""The inputs say nothing: they are all alike, or cut down to whole numbers.

## Why it hurts
A network can only tell rows apart by what enters it. Pixels that were divided by 255 and stored as integers again are
zero nearly everywhere; `//` does the same; a column that is constant, a feature file read wrongly, a crop beside the
picture leave nothing to learn from. The loss goes to that of the best constant answer and stays there, whatever network
and learning rate are tried.

## How it is seen
Equal rows of the recorded inputs are put together with their targets: the best that any function of these inputs could
say about the targets is hardly better than one constant answer. Or the inputs are nothing but a few whole numbers, and
the text cuts a division down to integers.

## What to do
Look at a few rows of what enters the network. Keep fractions: a float type for shares, `/` instead of `//`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.keep_fractions import KeepFractions
from unstuck.signals.samples import Samples
from unstuck.signals.truncation import Truncation

HARDLY = 0.1
"""Of the way from the best constant answer to perfection; less than this, and the inputs hold no answer."""
FEW_VALUES = 3
"""Different numbers that are left of shares between 0 and 1 when they are cut to whole ones."""


def check(rows: Samples, cutting: Truncation) -> Iterator[Finding]:
    """What any network could tell by the rows; and whether the text has cut them down."""
    share = (rows.ceiling - rows.constant) / max(1 - rows.constant, 1e-9)
    if rows.constant < 1 and share <= HARDLY:
        yield _empty(rows, cutting)
    elif _whole(rows.rows):
        yield from _cut(rows, cutting)


def _empty(rows: Samples, cutting: Truncation) -> Finding:
    kind = "accuracy" if rows.classified else "R2"
    alike = f"the {len(rows.rows)} recorded rows are all the same" if rows.distinct == 1 else (
        f"the {len(rows.rows)} recorded rows are {rows.distinct} different ones"
    )  # fmt: skip
    said = f"{alike}: no network can tell the targets by them"
    evidence = (
        Evidence("different rows", float(rows.distinct), f"about {len(rows.rows)}"),
        Evidence(f"best {kind} that any function of these inputs can have", rows.ceiling, "near 1"),
        Evidence(f"{kind} of one constant answer", rows.constant, "clearly below that"),
    )
    sure = f"equal rows have different targets; the best possible {kind} on them is {rows.ceiling:.3f}"
    site = cutting.sites[0] if cutting.sites else rows.call.site
    remedies = tuple(KeepFractions(s) for s in cutting.sites[:1])
    return Finding("input-degenerate", said, site, evidence, remedies, "error", demonstrated=sure)


def _whole(rows: torch.Tensor) -> bool:
    """Whether shares may have stood here: nothing but zeros and a few small whole numbers."""
    values = rows.flatten()[:200_000].unique()
    return len(values) <= FEW_VALUES and bool((values == values.round()).all()) and float(values.abs().max()) <= 1


def _cut(rows: Samples, cutting: Truncation) -> Iterator[Finding]:
    for site, line in zip(cutting.sites[:1], cutting.lines, strict=False):
        zeros = float((rows.rows == 0).double().mean())
        said = f"the inputs are nothing but {_listed(rows.rows)}: `{line}` cuts their fractions off"
        evidence = (Evidence("share of zeros among the inputs", zeros, "less"), Evidence("in the text", line, "floats"))
        yield Finding("input-degenerate", said, site, evidence, (KeepFractions(site),))


def _listed(rows: torch.Tensor) -> str:
    return ", ".join(f"{v:g}" for v in rows.flatten()[:200_000].unique().tolist())


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
