"""Gradients are clipped at the wrong time, or to a norm that stops the learning.

## Why it hurts
Clipping is there for the rare gradient that is many times as large as the others. A bound far below the usual norm
clips every step: with plain SGD the rate is then the bound over the norm of what it was meant to be, hundreds of times
smaller, and the direction is all that is left of the gradient. Gradients that a `GradScaler` has multiplied by 65536
are clipped so by any usual bound. A clip that stands behind `optimizer.step()`, or before `backward()`, changes
gradients that nobody uses any more, and the step it was to tame is made in full.

## How it is seen
Each `clip_grad_norm_` is watched: its bound, the norm that it found, and whether an optimizer has stepped since the
last backward. A replay with a bound of the size of the usual norm, or with the clip in its place, shows what it does to
this run. A norm that is larger than that of the recorded gradients by a power of two is one of scaled gradients.
Optimizers that divide by the size of the gradient (Adam and its kin) do not mind a small bound.

## What to do
Clip between `backward()` and `step()` (with a gradient scaler, after `unscale_`), to a norm that only the largest
gradients pass: look at what `clip_grad_norm_` returns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.set_clip import ClipInTime, SetClip, UnscaleFirst
from unstuck.tape.model import Clip, Tape

STAGE = Stage.OPTIMISATION
NEEDS_ROOM = True
NEVER_MEANT = True
FAULT = "clip-misuse"
FEWEST = 5
"""Clips that are looked at: the first may come before any backward."""
FAR = 30.0
"""Times the bound that the usual norm is: a step is then a thirtieth of what the rate says. Published recipes clip to
norms between 0.1 and 5, near the usual one."""
SCALED, EVEN = 1.9, 0.01
"""Loss scales of 2 and more; by how much the logarithm of one, a power of two, is off by rounding."""
BY_SIZE = {"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Rprop", "Adafactor"}
"""Optimizers whose steps do not depend on the size of the gradient."""


def check(tape: Tape) -> Iterator[Finding]:
    """Report clips that come too late, and bounds far below the usual norm."""
    clips = [c for c in tape.facts.clippings if c.name == "clip_grad_norm_" and c.site is not None]
    if len(clips) < FEWEST or len(tape.optimizers) != 1:
        raise NotApplicable("no gradients are clipped by norm before the steps of one optimizer")
    if all(c.late for c in clips):
        yield _late(clips)
    elif not any(c.late for c in clips[1:]) and tape.optimizers[0].kind not in BY_SIZE:
        scale = _scale(tape, clips)
        yield from _small(clips) if scale is None else _scaled(clips, scale)


def _late(clips: Sequence[Clip]) -> Finding:
    first = clips[-1]
    assert first.site is not None
    evidence = Evidence("clips between a backward and its step", 0, f"{len(clips)} of {len(clips)}")
    said = f"gradients are clipped after the step that uses them: the clip to {first.bound:g} has no effect"
    remedies = (ClipInTime(first.site, first.bound),)
    return Finding(FAULT, said, first.site, (evidence,), remedies, known="observed")


def _scale(tape: Tape, clips: Sequence[Clip]) -> float | None:
    """By what the gradients were multiplied when they were clipped; None where they were not, or it is not known."""
    known = [(c.norm, tape.passes[c.after - 1].gradient) for c in clips if c.norm and 0 < c.after <= len(tape.passes)]
    ratios = [norm / math.hypot(*own) for norm, own in known if own and math.isfinite(norm) and math.hypot(*own) > 0]
    doubled = [abs(math.log2(ratio) - round(math.log2(ratio))) < EVEN and ratio > SCALED for ratio in ratios]
    return median(ratios) if len(ratios) >= FEWEST and all(doubled) else None


def _scaled(clips: Sequence[Clip], scale: float) -> Iterator[Finding]:
    first = clips[-1]
    norms = [c.norm for c in clips if c.norm is not None and math.isfinite(c.norm)]
    if first.site is None or not norms or median(norms) <= first.bound:
        return
    evidence = (
        Evidence("loss scale in the gradients that are clipped", f"{scale:.6g}", "1"),
        Evidence("norm that they are clipped to, without it", f"{first.bound / scale:.3g}", f"{first.bound:g}"),
    )
    said = f"gradients are clipped while the scaler's factor of {scale:.6g} is in them; call unscale_() first"
    yield Finding(
        FAULT, said, first.site, evidence, (UnscaleFirst(first.site, first.bound),), "error", known="observed"
    )


def _small(clips: Sequence[Clip]) -> Iterator[Finding]:
    norms = [c.norm for c in clips if c.norm is not None and math.isfinite(c.norm)]
    bound, site = clips[0].bound, clips[0].site
    if len(norms) < FEWEST or not bound > 0 or site is None:
        return
    usual, least = median(norms), min(norms)
    if not (usual >= FAR * bound and least > bound and math.isfinite(bound)):
        return
    evidence = (
        Evidence("norm that gradients are clipped to", bound, f"near the usual norm, {usual:.3g}"),
        Evidence("steps that are clipped", f"{len(norms)} of {len(norms)}", "few"),
    )
    said = f"every gradient is clipped to a norm of {bound:g}; usually it is {usual / bound:.3g} times as large"
    yield Finding(FAULT, said, site, evidence, (SetClip(site, bound, float(f"{2 * usual:.2g}")),))


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 12)
y = (x[:, :4] * torch.tensor([1.0, -2.0, 1.5, 0.5])).sum(1, keepdim=True) + x[:, 4:5] * x[:, 5:6]
model = nn.Sequential(nn.Linear(12, 48), nn.Tanh(), nn.Linear(48, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for epoch in range(25):
    for rows in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), {norm})
        optimizer.step()
print(loss.item())
"""

FIRES = _SCRIPT.format(norm=0.005)
QUIET = _SCRIPT.format(norm=5.0)
