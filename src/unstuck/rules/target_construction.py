"""Targets are built wrongly: by the network itself, in another format, or for other places.

## Why it hurts
A value function is trained on `reward + gamma * value(next state)`. That sum is a target: it says where the value of
the state is to go. Where it is not cut off from the graph, the loss is also lowered by moving the value of the next
state to that of the state, against the direction of time. What comes out is another function (the residual gradient),
most often a flatter one, and learning is slower by far or does not happen.

A term of the loss that reads the target in another format than the output has (corners of a box in the place of its
centre and size) pulls the output away from the target, and may have no smallest value at all.

Targets of a grid that are written at `[x, y]`, where the picture has `[row, column]`, belong to other places than those
that show what is asked for. Labels that are made after the input was masked ask for the mask.

## How it is seen
In the recorded step the loss compares two values. Both depend on the same trained weights through different inputs, one
of them by way of a number between 0 and 1 that it is multiplied by, and of something from outside that is added: a
bootstrapped target with gradients. The gradient is taken with and without the target's part, and the angle between the
two says what it does to the step. Losses that compare two views of one row, or derivatives at one point, are left
alone.

Of a loss of several terms, the output is set free at its target and moved down the gradient: it has to stay there.

A straight line from what pictures show in a place to the target of that place explains the targets of other pictures;
where it does so only with their axes exchanged or mirrored, the targets lie elsewhere. The targets that the loss counts
are compared with what enters in the same places.

## What to do
Compute the target under `torch.no_grad()`, or `detach()` it; multiply the next value by `(1 - done)`, so that nothing
is expected beyond the end of an episode; a slowly updated copy of the network makes the targets steady.
Convert outputs and targets to the format that each term of the loss expects. Write `grid[row, column]`, with the row
from y. Clone the labels before the input is masked.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, NotApplicable, proven
from unstuck.diagnosis.stages import Stage
from unstuck.micro import bootstrap as example
from unstuck.micro.best_output import BestOutput
from unstuck.micro.bootstrap import Bootstrap
from unstuck.micro.laid import Laid
from unstuck.micro.one_target import OneTarget
from unstuck.remedies.detach_target import DetachTarget

STAGE = Stage.TARGETS
NEVER_MEANT = True
FAULT = "target-construction"
TURNED = 0.9
"""Cosine of the gradients with and without the target's part: below it, a step goes 25 degrees aside or more."""


def check(
    bootstrap: Bootstrap | None, best: BestOutput | None, laid: Laid | None, one: OneTarget | None
) -> Iterator[Finding]:
    """Report a target with gradients, one of other places or of one class, and a term of the loss that leads away."""
    if bootstrap is None and best is None and laid is None and one is None:
        raise NotApplicable("no target is compared with a value of the network")
    if laid is not None and laid.elsewhere:
        yield _elsewhere(laid)
    if one is not None and one.only is not None:
        yield _masked(one)
    if bootstrap is not None:
        yield _bootstrapped(bootstrap)
    if best is not None and best.elsewhere and best.terms > 1:
        shown = (
            Evidence("loss where the output equals its target", best.at_target, "its smallest value"),
            Evidence("loss lower down its gradient", best.best, "no smaller"),
            Evidence("distance of that output, in standard deviations of the targets", best.away, "near 0"),
        )
        said = "a term of the loss asks for another output than the target; does it read another format or unit?"
        yield Finding(FAULT, said, best.site, shown, (), known="observed")


def _elsewhere(laid: Laid) -> Finding:
    """Targets that go with other places of their pictures."""
    most = laid.others[laid.best]
    said = f"the targets belong to other places than their pictures: they fit {laid.best}; are rows and columns right?"
    shown = (
        Evidence("share of the targets that what pictures show in their places explains", round(laid.own, 3), "most"),
        Evidence(f"the same, {laid.best}", round(most, 3), "none"),
    )
    sure = f"{laid.best}, a straight line explains {most:.2f} of the targets of {laid.pictures} pictures"
    effect = proven(f"{sure}, and {laid.own:.2f} as they are")
    return Finding(FAULT, said, laid.site, shown, (), known="observed", effect=effect, leaves_nothing=True)


def _masked(one: OneTarget) -> Finding:
    """Labels that are read from the masked input."""
    said = f"the loss asks for {one.only} in every place, which is what the input holds there: labels of a masked input"
    shown = (Evidence("different targets that the loss counts", 1.0, f"up to {one.classes}"),)
    effect = proven(f"all {one.counted} targets that count are {one.only}, and stand in the input")
    return Finding(FAULT, said, one.site, shown, (), known="observed", effect=effect, leaves_nothing=True)


def _bootstrapped(bootstrap: Bootstrap) -> Finding:
    """The target, and what its gradient does to the step."""
    call, least = bootstrap.call, min(bootstrap.turned)
    said = "the target is made by the network itself and the gradient flows into it: a bootstrapped target is a number"
    evidence = Evidence("cosine of the gradient with that of a fixed target", round(least, 2), "1")
    sure = f"with the target cut off, the gradient points elsewhere: the cosine between the two is {least:.2f}"
    effect = proven(sure) if least < TURNED else Effect()
    remedies = (DetachTarget(call.site, bootstrap.operand, call.name),) if call.site is not None else ()
    return Finding(FAULT, said, bootstrap.site, (evidence,), remedies, known="observed", effect=effect)


FIRES, QUIET = example.FIRES, example.QUIET
