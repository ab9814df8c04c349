"""The standard battery: generic remedies as findings that no rule made, tried where the rules' own heal nothing.

A threshold decides what a rule says, and must not decide what is tried. Each finding here names the fault that its
remedy would answer; it is shown only if an experiment proves it. What a sweep of learning rates tries is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from unstuck.diagnosis.examine import Readings
from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Remedy, Site
from unstuck.diagnosis.skill import learns
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.clip_gradients import ClipGradients
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.remedies.set_dropout import SetDropout
from unstuck.remedies.set_weight_decay import SetWeightDecay
from unstuck.remedies.standardise_all import StandardiseAll
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.remedies.standardise_targets import StandardiseTargets
from unstuck.remedies.widen import Widen
from unstuck.rules._places import optimizer_site, step_site, values_site
from unstuck.rules._rates import rate_site, use_adam
from unstuck.rules.catalogue import catalogue
from unstuck.rules.not_shuffled import places
from unstuck.signals.layers import Layers
from unstuck.signals.learning import Learning
from unstuck.signals.losses import Losses, flat
from unstuck.signals.totals import Totals
from unstuck.signals.units import MOST, InputUnits, Units
from unstuck.tape.model import Tape

OFF, UNLIKE = 0.5, 2.0
"""|mean| / spread above which, and the ratio of spreads to 1 beyond which, units are worth an experiment: below these a
standardised input differs by less than the first weights of two seeds do."""
GAIN = (0.3, 2.0)
"""Initial size * sqrt(connections) of a layer that is not worth one: torch's default is 0.58, a tanh layer's 1.67."""
WIDE = 64
"""Units of the hidden layers that are tried; as `under-capacity` does."""
NORM = 1.0
"""Gradient norm that is tried; as `exploding-gradient` does."""
BENT = {"sigmoid": "vanishing-gradient", "tanh": "saturated-hidden"}
"""Activations that are flat on both sides, and the fault that they cause where units get stuck there."""

Candidate = tuple[str, Remedy, Site | None, tuple[Evidence, ...]]


def battery(readings: Readings) -> tuple[Finding, ...]:
    """One finding per generic remedy that changes something of this program."""
    stages = {name: rule.stage for name, rule in catalogue().items()}
    makers: tuple[Callable[[Readings], Iterator[Candidate]], ...] = (
        _inputs, _targets, _weights, _order, _activation, _width, _dropout, _decay, _clipping,
    )  # fmt: skip
    found = [candidate for maker in makers for candidate in _made(maker, readings)]
    adam = [_finding(candidate, Stage.MECHANISM) for candidate in _made(_optimizer, readings)]
    return (*(_finding(candidate, stages[candidate[0]]) for candidate in found), *adam)


def _made(maker: Callable[[Readings], Iterator[Candidate]], readings: Readings) -> list[Candidate]:
    try:
        return list(maker(readings))
    except NotApplicable:
        return []
    except Exception:  # a candidate that cannot be made is not tried; the report does not depend on it
        return []


def _finding(candidate: Candidate, stage: Stage) -> Finding:
    fault, remedy, site, evidence = candidate
    said = f"found by experiment, below the threshold of its rule: to {remedy.summary()} makes this run learn"
    return Finding(fault, said, site, evidence, (remedy,), stage=stage, origin="battery")


def _inputs(readings: Readings) -> Iterator[Candidate]:
    units: Units = readings.of(Units)
    off = [one for one in units.inputs if not one.entry.normalised and _is_off(one) and len(one.entry.mean) <= MOST]
    parts = [StandardiseInputs.of(units.program, i.entry.slot, *i.statistics, i.entry.axis) for i in off]
    if not parts:
        return
    remedy = parts[0] if len(parts) == 1 else StandardiseAll(tuple(parts))
    first = off[0]
    shown = (
        Evidence("|mean| / spread of a feature, at most", first.offset, "near 0"),
        Evidence("typical spread of a feature", first.spread, "near 1"),
        Evidence("largest / smallest size of a feature", first.mix, "near 1"),
    )
    yield _unit_fault(first), remedy, first.entry.call.site, shown


def _is_off(one: InputUnits) -> bool:
    return bool(one.entry.live.any()) and (
        one.offset > OFF or one.mix > UNLIKE or not 1 / UNLIKE <= one.spread <= UNLIKE
    )


def _unit_fault(one: InputUnits) -> str:
    if one.offset > OFF:
        return "input-offset"
    return "feature-scale-mix" if one.mix > max(one.spread, 1 / max(one.spread, 1e-30)) else "input-scale"


def _targets(readings: Readings) -> Iterator[Candidate]:
    losses: Losses = readings.of(Losses)
    for ending in losses.endings if losses.task.kind == "regression" else ():
        numbers = flat(losses.targets(ending))
        maker = next((c for c in reversed((ending.layer, *ending.tail)) if c is not None and not c.op.hands_on), None)
        if len(numbers) < 2 or maker is None or maker.site is None or ending.loss.site is None:
            continue
        mean, spread = float(numbers.mean()), float(numbers.std(correction=0))
        if spread and (abs(mean) > OFF * spread or not 1 / UNLIKE <= spread <= UNLIKE):
            shown = (Evidence("mean of the targets", mean, "near 0"), Evidence("standard deviation", spread, "near 1"))
            yield (
                "target-scale",
                StandardiseTargets(mean, spread, maker.site, ending.loss.site),
                ending.loss.site,
                shown,
            )


def _weights(readings: Readings) -> Iterator[Candidate]:
    layers: Layers = readings.of(Layers)
    tape: Tape = readings.tape
    off = [m for m in layers.matrices if not GAIN[0] <= m.gain <= GAIN[1]]
    if off:
        names, relu = tuple(m.name for m in off), rectified(c.name for c in layers.program.calls)
        shown = tuple(Evidence(f"{m.name}: initial size * sqrt(connections)", m.gain, "0.5 to 1.5") for m in off[:3])
        yield "bad-init", RedrawWeights(names, relu), values_site(tape, off[0].name) or off[0].call.site, shown


def _order(readings: Readings) -> Iterator[Candidate]:
    totals: Totals = readings.of(Totals)
    for node, remedy in places(totals)[:1]:
        yield "not-shuffled", remedy, totals.source.site(node), ()


def _activation(readings: Readings) -> Iterator[Candidate]:
    layers: Layers = readings.of(Layers)
    for old, fault in BENT.items():
        calls = [c for c in layers.program.calls if c.name == old]
        remedy = ReplaceActivation.of(layers.program, old) if calls else None
        if remedy is not None and remedy.sites:
            yield fault, remedy, calls[0].site, ()


def _width(readings: Readings) -> Iterator[Candidate]:
    layers: Layers = readings.of(Layers)
    hidden = [m for m in layers.matrices if m.hidden]
    if hidden and min(m.units for m in hidden) < WIDE:
        least = min(hidden, key=lambda m: m.units)
        shown = (Evidence("units of the narrowest hidden layer", least.units, f"{WIDE} or more"),)
        yield "under-capacity", Widen(WIDE), least.call.site, shown


def _dropout(readings: Readings) -> Iterator[Candidate]:
    layers: Layers = readings.of(Layers)
    drops = [c for c in layers.program.calls if c.op.kind == "dropout"]
    if drops:
        yield "excess-dropout", SetDropout(0.0, 0.0), drops[0].site, ()


def _decay(readings: Readings) -> Iterator[Candidate]:
    for number, optimizer in enumerate(readings.tape.optimizers):
        decays = [float(g.get("weight_decay") or 0.0) for g in optimizer.groups]
        if max(decays, default=0.0) > 0:
            remedy = SetWeightDecay(0.0, number, optimizer.made, tuple(dict.fromkeys(decays)))
            yield "weight-decay-too-high", remedy, optimizer_site(readings.tape, number), ()


def _clipping(readings: Readings) -> Iterator[Candidate]:
    if not any(o.clip is not None for o in readings.tape.optimizers):
        yield "exploding-gradient", ClipGradients(NORM), step_site(readings.tape), ()


def _optimizer(readings: Readings) -> Iterator[Candidate]:
    """Steps of one size for every weight, where the run learns nothing; last, since they make up for much else."""
    learning: Learning = readings.of(Learning)
    remedy = use_adam(readings.tape) if not learns(learning.final) else None
    if remedy is not None:
        name = readings.tape.optimizers[remedy.optimizer].name
        shown = (Evidence(f"learning rate of {name}", remedy.pace.rate / remedy.pace.factor, "one that learns"),)
        yield "lr-too-low", remedy, rate_site(readings.tape, remedy.pace), shown
