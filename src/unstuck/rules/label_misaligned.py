"""The labels do not belong to their rows, or are unrelated to them.

## Why it hurts
If rows are shuffled, sorted or filtered without their labels, inputs and targets no longer match. A network can
memorise such pairs one by one: its training loss falls, slowly, but it predicts nothing for rows it has not seen.

## How it is seen
Two simple learners (nearest neighbours and a linear fit) predict each recorded row from all others, and do no better
than on shuffled targets. A simple learner may miss what a network finds, so this alone is a guess; an experiment
settles it: the network as written is trained on one half of the recorded rows and asked about both. If it memorises the
first half and knows nothing of the other, the labels are unrelated to the rows.
Facts need no experiment: a step permutes its targets (`torch.randperm`) and nothing else; it mixes inputs and targets
with rows in two different orders; or rows that are read again in a later epoch have another label as often as by
chance.

Labels of the evaluation alone: the answers on rows that were held out are wrong, and become right when the classes are
renamed one to one. Then training and evaluation number the classes differently (folders listed in another order).

## What to do
Print a few rows with their labels just before training. Shuffle both with one permutation; take labels from the
shuffled table; join tables by key, not by position. Number classes by one sorted list of names, made once.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.micro.one_id import OneId
from unstuck.micro.turned import Turned
from unstuck.remedies.keep_order import KeepOrder
from unstuck.signals.learning import Learning
from unstuck.signals.relation import Relation
from unstuck.signals.renamed_classes import RenamedClasses
from unstuck.signals.reordered import Reordered
from unstuck.signals.repeats import Repeats
from unstuck.signals.samples import HARDLY

STAGE = Stage.TARGETS
LEAVES_NOTHING = True
NOTHING = 3.0
"""Standard deviations of shuffled targets: chance stays within three of them in 997 of 1,000 tables."""

SURE = 0.8
"""Accuracy under the best renaming, twice the plain one: of 20,000 tables of 32 random answers in 2 classes, 7 reach
it, and none in 3 or more."""


def check(
    relation: Relation | None,
    repeats: Repeats | None,
    renamed: RenamedClasses | None,
    reordered: Reordered | None,
    turned: Turned | None,
    learning: Learning,
    one: OneId | None = None,
) -> Iterator[Finding]:
    """Report rows that change their targets, targets in the order of another axis, targets that neither simple learner
    can tell from shuffled ones, and classes that the evaluation numbers otherwise."""
    if turned is not None and turned.turned:
        yield _transposed(turned)
        return
    if renamed is not None and renamed.moved and renamed.renamed >= SURE and renamed.plain <= renamed.renamed / 2:
        yield _renumbered(renamed)
    if reordered is not None:
        yield _apart(reordered)
    elif repeats is not None and abs(repeats.deviations) <= NOTHING:
        yield _changing(repeats, learning)
    elif relation is not None and relation.strength <= NOTHING and not (one is not None and one.blank):
        yield _unrelated(relation, learning)


def _transposed(turned: Turned) -> Finding:
    a, b = turned.axes
    said = (
        f"the targets stand in another order than the answers: the network learns them read as {a} x {b} and "
        "transposed; is it `repeat` for `repeat_interleave`, or were axes not exchanged before `flatten`?"
    )
    evidence = (
        Evidence("accuracy after the same steps, as they are", round(turned.own, 3), "as where they are transposed"),
        Evidence("accuracy, transposed", round(turned.other, 3), "chance"),
    )
    effect = proven(f"the same steps reach accuracy {turned.own:.3f} as they are, and {turned.other:.3f} transposed")
    return Finding(
        "label-misaligned", said, turned.site, evidence, (), "error", known="observed", effect=effect, never_meant=True
    )


def _apart(found: Reordered) -> Finding:
    if found.other is not None:
        return _mixed_apart(found, found.other)
    said = (
        "each step puts the rows of the targets into a random order, and the inputs into no such order: rows do not "
        "meet their own targets"
    )
    evidence = (Evidence("share of the steps that move the targets alone", found.share, "0"),)
    remedies = (KeepOrder(found.site),) if found.site is not None else ()
    return Finding("label-misaligned", said, found.site, evidence, remedies, "error", known="observed")


def _mixed_apart(found: Reordered, other: Site) -> Finding:
    said = (
        f"inputs and targets are mixed with rows in different random orders (inputs in line {other.line}): a row is "
        "mixed with one row and its target with the target of another; use one permutation for both"
    )
    evidence = (Evidence("share of the steps with a different order for inputs and targets", found.share, "0"),)
    return Finding("label-misaligned", said, found.site, evidence, (), "error", known="observed", never_meant=True)


def _changing(repeats: Repeats, learning: Learning) -> Finding:
    said = (
        f"the same row comes back with another label: of {repeats.again} rows read again {repeats.kept:.0%} keep "
        f"theirs, and {repeats.chance:.0%} would by chance; the labels are shuffled or drawn anew between the data and "
        "the loss"
    )
    if not learning.task.classes:
        said = (
            f"the same row comes back with another target: the targets of {repeats.again} rows read again are as far "
            "from those before as from any other; they are shuffled or drawn anew between the data and the loss"
        )
    evidence = (Evidence("rows that keep their label when read again", repeats.kept, "all"),)
    sure = proven("no function of the rows can predict targets that change whenever a row comes back")
    effect = sure if repeats.reachable <= HARDLY else Effect()
    return Finding(
        "label-misaligned",
        said,
        _loss(learning),
        evidence,
        (),
        "error",
        known="observed",
        effect=effect,
        settles=("halves",),
    )


def _renumbered(found: RenamedClasses) -> Finding:
    sure = (
        f"accuracy on {found.rows} rows held out is {found.plain:.3f}, and {found.renamed:.3f} with "
        f"{found.moved} of {found.classes} classes renamed one to one"
    )
    evidence = (
        Evidence("accuracy on rows held out", found.plain, f"{found.renamed:.3f}, as with the classes renamed"),
        Evidence("classes that are numbered otherwise than in training", float(found.moved), "0"),
    )
    said = (
        f"class numbers differ between training and evaluation: renaming {found.moved} of {found.classes} classes one "
        f"to one makes {found.renamed:.1%} of the answers right; number the classes by one sorted list"
    )
    return Finding(
        "label-misaligned", said, found.site, evidence, (), "error", known="observed", effect=proven(sure), aside=True
    )


def _unrelated(relation: Relation, learning: Learning) -> Finding:
    evidence = (
        Evidence("nearest neighbours, in standard deviations from chance", relation.neighbours, "above 5"),
        Evidence("linear fit, in standard deviations from chance", relation.linear, "above 5"),
    )
    said = (
        f"the labels look unrelated to the inputs: on {relation.rows} rows, nearest neighbours and a linear fit do no "
        "better than on shuffled labels; check that rows and labels were shuffled together"
    )
    return Finding("label-misaligned", said, _loss(learning), evidence, (), "error", settles=("halves",))


def _loss(learning: Learning) -> Site | None:
    """Where the labels meet the answers."""
    return learning.task.loss.site if learning.task.loss is not None else None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(11)
x = torch.randn(400, 10)
y = (x @ torch.randn(10, 3)).argmax(1)
x = x[torch.randperm(400)]
{labels}
model = nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(30):
    for rows in torch.randperm(400).split(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(labels="")
QUIET = _SCRIPT.format(labels="y = (x @ torch.randn(10, 3)).argmax(1)")
