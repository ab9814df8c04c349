"""The loss is maximised.

## Why it hurts
An optimizer lowers what it is given. Given minus the loss (or a log-likelihood without its minus, or `maximize=True`),
it makes the predictions worse with every step and without end: the printed loss falls to minus infinity and looks like
progress.

## How it is seen
The recorded calls are followed from each loss to the value that is differentiated: an odd number of them turns the
sign. A log-likelihood must be turned once. The optimizer's options, and the sign of the learning rate in an update
written by hand, count too. A network that plays against another one (their weights belong to two optimizers that step
in turn, as in a GAN) may maximise, and is left alone.

## What to do
Minimise the loss: remove the minus, or add the missing one.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy, Site
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.flip_sign import FlipSign
from unstuck.remedies.negate_loss import NegateLoss
from unstuck.signals.losses import Ending, Losses
from unstuck.tape.direction import Way, way
from unstuck.tape.likelihood import Likelihood, likelihood
from unstuck.tape.model import Tape
from unstuck.tape.program import Value

STAGE = Stage.WIRING
NEVER_MEANT = True
FAULT = "loss-sign"


def check(tape: Tape, losses: Losses) -> Iterator[Finding]:
    """The sign of each loss on its way to what is minimised, and the optimizers' direction."""
    if not _one_player(tape, losses):
        return
    upward = any(o.groups and all(g.get("maximize") for g in o.groups) for o in tape.optimizers)
    found = next((f for e in losses.endings if (f := _of_loss(losses, e, upward)) is not None), None)
    outside = tuple(tape.tensors[k] for k in losses.passes[0].outside)
    by_hand = likelihood(losses.program, outside) if not losses.endings else None
    if found is None and by_hand is not None:
        found = _of_likelihood(losses, by_hand, upward)
    if found is not None:
        yield found


def _one_player(tape: Tape, losses: Losses) -> bool:
    """Whether all weights that the loss reaches are updated by one optimizer, if any, or by several that step after
    the same backwards (one for the encoder, one for the decoder)."""
    reached = set(losses.program.weights())
    holders = {p.optimizer for p in tape.parameters if p.name in reached and p.trainable}
    steps = [{u.after for u in tape.updates if u.optimizer == n} for n in holders]
    return len(holders) <= 1 or (bool(steps[0]) and all(own == steps[0] for own in steps))


def _of_loss(losses: Losses, ending: Ending, upward: bool) -> Finding | None:
    found = way(losses.program, Value(ending.loss.outs[0]))
    if found is None or not (ending.named or found.squared) or (found.sign > 0) != upward:
        return None
    if found.mixed and (upward or found.after % 2 == 0):
        return None  # what is added may be the aim; a turn behind the sum turns every term
    name = ending.loss.name if ending.named else "the squared or absolute error"
    return _finding(f"{name} is maximised", ending.loss.site, found, upward)


def _of_likelihood(losses: Losses, hand: Likelihood, upward: bool) -> Finding | None:
    found = way(losses.program, Value(hand.call.outs[0]))
    if found is None or (found.sign < 0) != upward:  # terms that are added on the way do not turn it
        return None
    if found.turns or upward:
        return _finding("the log-likelihood is minimised", hand.call.site, found, upward)
    last = next(c for c in losses.program.calls if losses.program.loss in c.outs)
    said = "the log-likelihood of the right classes is minimised: its minus is missing"
    remedies = (NegateLoss(last.site),) if last.site is not None else ()
    evidence = Evidence("calls that turn the sign", 0.0, "1")
    return Finding(FAULT, said, last.site, (evidence,), remedies, known="observed")


def _finding(said: str, site: Site | None, found: Way, upward: bool) -> Finding:
    turn = found.turns[-1] if found.turns else None
    remedies: tuple[Remedy, ...] = ()
    if upward:
        remedies, said = (FlipSign(None),), f"{said}: the optimizer was built with maximize=True"
    elif turn is not None and turn.site is not None:
        site = turn.site
        remedies = (FlipSign(site),) if turn.name == "neg" else (NegateLoss(site),)
    evidence = Evidence("calls that turn the sign", float(len(found.turns)), "an even number, unless maximize=True")
    return Finding(FAULT, said, site, (evidence,), remedies, known="observed")


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(8)
x = torch.randn(500, 5)
y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).long()
model = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(12):
    for rows in torch.randperm(500).split(25):
        optimizer.zero_grad()
        log_p = nn.functional.log_softmax(model(x[rows]), dim=1)
        loss = {sign}log_p[torch.arange(len(rows)), y[rows]].mean()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(sign="")
QUIET = _SCRIPT.format(sign="-")
