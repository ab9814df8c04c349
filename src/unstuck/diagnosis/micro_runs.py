"""Micro-experiments on a tape: the time that each may take, and the fits of a run that it is made on."""

from __future__ import annotations

import torch

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.catalogue import MicroExperiment, Reading, micro_experiments
from unstuck.micro.step import REFUSED, Recorded
from unstuck.replay.devices import device_of
from unstuck.signals.fit_alone import before
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape

MICRO_STEPS, MICRO_SECONDS = 60, 2.0
"""Steps, or seconds where the steps are light, that all micro-experiments together may take as long as."""
UNWELL = 4.0
"""Times these seconds for a run that is not known to learn: what they show saves experiments that take minutes."""
LIGHT = 2
"""Cost of an experiment, in steps, up to which it is also made on the fit before the last one."""


def allowed(tape: Tape, micro: MicroExperiment, well: bool = True) -> float:
    """Seconds that micro-experiments on a tape may have taken when one begins, without what later ones keep.

    Together they may take MICRO_STEPS of its steps, MICRO_SECONDS at least; more seconds where it is not known that the
    run goes `well`.
    """
    known = list(micro_experiments().values())
    later = [m for m in known[known.index(micro) + 1 :] if not (well and m.failing)]
    seconds = MICRO_SECONDS * (1 if well else UNWELL)
    return (1 - sum(m.keeps for m in later)) * max(seconds, MICRO_STEPS * tape.facts.trained / max(1, tape.steps))


def asked(micro: MicroExperiment, tape: Tape, left: float) -> Reading:
    """What an experiment finds on a tape. Raises CannotReplay where it cannot be made there."""
    try:
        return micro.ask(Recorded(tape, torch.device(device_of(tape)), left))
    except (*REFUSED, NotApplicable) as error:
        raise CannotReplay(str(error).strip().partition("\n")[0][:160] or type(error).__name__) from error


def of_earlier(micro: MicroExperiment, whole: Tape, left: float) -> tuple[Statement, ...]:
    """What a light experiment says of the fit before the last one, which no score is asked of."""
    tape = before(whole) if micro.cost <= LIGHT else None
    try:
        return asked(micro, tape, left).statements if tape is not None else ()
    except CannotReplay:
        return ()
