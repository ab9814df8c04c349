"""Examine a tape: take every reading that a rule asks for, once, and ask all rules. Nothing is tried here."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any

import msgspec

from unstuck.diagnosis.log import Patched
from unstuck.diagnosis.model import Finding, NotApplicable, Outcome
from unstuck.diagnosis.skill import leaves_room
from unstuck.diagnosis.stages import Stage
from unstuck.rules.catalogue import Rule, catalogue
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape

NO_ROOM = "the run learns well"
"""Why a rule was not asked: its silence does not show that what it found before is gone."""


class Readings:
    """Readings of one tape by their class; each is taken once, and so is the reason why it cannot be."""

    def __init__(self, tape: Tape, given: Iterable[object] = (), behind: Patched = ()) -> None:
        self.tape, self.behind = tape, behind
        self._taken: dict[type, object] = {Tape: tape, **{type(g): g for g in given}}

    def of(self, kind: type) -> Any:
        """The reading of that class; raises NotApplicable with its reason."""
        if kind not in self._taken:
            self._taken[kind] = self._take(kind)
        reading = self._taken[kind]
        if isinstance(reading, NotApplicable):
            raise reading
        return reading

    def give(self, reading: object) -> None:
        """Add a reading that an experiment made."""
        self._taken[type(reading)] = reading

    def _take(self, kind: Any) -> object:
        if not hasattr(kind, "read"):
            return NotApplicable(f"no {kind.__name__.lower()} was made")
        try:
            return kind.read(self.tape)
        except NotApplicable as reason:
            return reason


def examine(
    readings: Readings, rules: dict[str, Rule] | None = None, origin: str = "tape"
) -> tuple[list[Finding], list[Outcome]]:
    """All findings of the rules, and what became of each rule."""
    findings, outcomes = [], []
    for rule in (catalogue() if rules is None else rules).values():
        found, outcome = _ask(rule, readings)
        findings += [_of_rule(f, rule, readings.behind, origin) for f in found]
        outcomes.append(outcome)
    return findings, outcomes


def readers(kind: type) -> dict[str, Rule]:
    """The rules that read a class of readings."""
    return {name: rule for name, rule in catalogue().items() if kind in _kinds(rule)}


def _of_rule(finding: Finding, rule: Rule, behind: Patched, origin: str) -> Finding:
    """The finding with what its rule says of the fault."""
    stage = Stage.REPORTING if finding.aside else rule.stage
    last = (rule.leaves_nothing or finding.leaves_nothing) and not finding.aside
    origin = "battery" if finding.origin == "battery" else origin
    return msgspec.structs.replace(
        finding, stage=stage, never_meant=rule.never_meant or finding.never_meant, leaves_nothing=last, origin=origin,
        behind=behind, severity="hint", role="hint",
    )  # fmt: skip


def _ask(rule: Rule, readings: Readings) -> tuple[list[Finding], Outcome]:
    try:
        if rule.needs_room and not _leaves_room(readings):
            return [], Outcome(rule.fault, "quiet", NO_ROOM)
        found = list(rule.check(**{name: _given(readings, kind) for name, kind in _needs(rule).items()}))
    except NotApplicable as reason:
        return [], Outcome(rule.fault, "not-applicable", str(reason))
    except Exception as error:  # one rule's failure must not cost the person the others
        return [], Outcome(rule.fault, "not-applicable", f"the rule failed: {type(error).__name__}: {error}"[:200])
    shown = [f for f in found if f.origin != "battery"]
    return found, Outcome(rule.fault, "fired" if shown else "quiet", shown[0].message if shown else "")


def _leaves_room(readings: Readings) -> bool:
    """Whether the run leaves room for a remedy to show; so it does where nothing is known of its skill."""
    try:
        return leaves_room(readings.of(Learning).final)
    except NotApplicable:
        return True


def _needs(rule: Rule) -> dict[str, Any]:
    """The readings that a rule asks for, by parameter."""
    return {name: kind for name, kind in typing.get_type_hints(rule.check).items() if name != "return"}


def _kinds(rule: Rule) -> set[Any]:
    try:
        return {k for kind in _needs(rule).values() for k in (typing.get_args(kind) or (kind,))}
    except Exception:  # annotations that cannot be resolved are told as the rule's failure when it is asked
        return set()


def _given(readings: Readings, kind: Any) -> object:
    """The reading that an annotation names; None where `X | None` allows it and X cannot be taken."""
    kinds = typing.get_args(kind) or (kind,)
    try:
        return readings.of(kinds[0])
    except NotApplicable:
        if type(None) in kinds:
            return None
        raise
