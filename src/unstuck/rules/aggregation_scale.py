"""Sums over neighbours are not divided by how many there are.

## Why it hurts
A row that sums over five hundred neighbours gets values a hundred times as large as one that sums over five, in every
layer again. Its outputs and gradients drown those of all others: the loss jumps about, and a rate that is right for
the few large rows is far too small for the rest. The same holds for sums over tokens, atoms or boxes.

## How it is seen
A matrix between rows enters the recorded step (an adjacency), is not negative, and multiplies what the network makes;
the sum of its largest row is more than ten times that of a typical one. A replay with the sums divided by their number
shows whether the network then learns better: a sum may be meant.

## What to do
Normalise the matrix: `adj / adj.sum(1, keepdim=True)`, or by the square roots of the degrees on both sides as graph
convolutions do. Divide pooled sums by the number of their members.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.micro import gathering as example
from unstuck.micro.gathering import MANY, Gathering
from unstuck.remedies.divide_by_count import DivideByCount

STAGE = Stage.DATA
NEEDS_ROOM = True
FAULT = "aggregation-scale"


def check(gathering: Gathering) -> Iterator[Finding]:
    """Each product whose largest row sums over many times as much as a typical one."""
    for found in gathering.sums:
        site = found.call.site
        if found.times < MANY or site is None:
            continue
        most = f"{found.typical:.3g} neighbours for a typical row and {found.largest:.3g} for one"
        evidence = (Evidence("largest row's sum / typical row's", found.times, f"below {MANY:g}, or divided by it"),)
        remedies = (DivideByCount(site, found.slot),) if found.dense else ()
        yield Finding(
            FAULT, f"{found.call.name}() sums over {most}, and is not divided by their number", site, evidence, remedies
        )


FIRES, QUIET = example.FIRES, example.QUIET
