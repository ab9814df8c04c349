"""What the rules about input units share: evidence of numbers that are no measurements, and the remedies."""

from __future__ import annotations

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.remedies.batchnorm_inputs import BatchnormInputs
from unstuck.remedies.standardise_all import StandardiseAll
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.signals.units import MOST, OUT, InputUnits, Units

CUT = 10.0
"""Spreads at which a standardised outlier is clipped: of 10^6 standard normal numbers none is beyond 6."""
DIMENSIONS = {(-1, 2): 1, (-2, 3): 1, (-3, 4): 2}
"""The batch norm for inputs with this axis of features and so many axes."""


def finding(fault: str, said: str, units: Units, one: InputUnits, *evidence: Evidence) -> Finding:
    """A finding about one input, at the line that scaled its numbers, else where they enter."""
    site = units.scaled_at.get(one.entry.slot) or one.entry.call.site
    return Finding(fault, said, site, (*evidence, *_errors(one)), _remedies(units, one))


def _errors(one: InputUnits) -> tuple[Evidence, ...]:
    """What was seen of codes for missing values, and of numbers that were written down wrongly."""
    found = []
    if one.missing is not None:
        share = float((one.entry.rows == one.missing).double().mean(0).max())
        what = f"rows in which a feature is {one.missing:g}, far from all others: a code for a missing value"
        found.append(Evidence(what, f"{share:.1%}", "0"))
    if bool(one.outliers.any()):
        share = float(one.outliers.double().mean(0).max())
        found.append(Evidence(f"rows in which a feature is {OUT:g} spreads away or more", f"{share:.1%}", "0"))
    return tuple(found)


def _remedies(units: Units, one: InputUnits) -> tuple[Remedy, ...]:
    """Standardise by the recorded statistics, or by a batch norm without weights.

    If other inputs need it too, all of them at once comes first: with one alone the network would still not learn.
    """
    found: list[Remedy] = []
    wrong = (x for x in units.inputs if x is one or x.wrong)
    parts = [made for x in wrong if (made := _standardised(units, x))]
    if len(parts) > 1:
        found.append(StandardiseAll(tuple(parts)))
    if alone := _standardised(units, one):
        found.append(alone)
    if dimensions := DIMENSIONS.get((one.entry.axis, len(one.entry.shape))):
        found.append(BatchnormInputs.of(units.program, one.entry.slot, len(one.entry.mean), dimensions))
    return tuple(found)


def _standardised(units: Units, one: InputUnits) -> StandardiseInputs | None:
    mean, std = one.statistics
    if len(mean) > MOST:
        return None
    clip = CUT if bool(one.outliers.any()) else None
    return StandardiseInputs.of(units.program, one.entry.slot, mean, std, one.entry.axis, one.missing, clip)
