"""Examine a tape: build every reading that a rule asks for, once, and run all rules. Nothing is tried yet."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any

from unstuck.diagnosis import Finding, NotApplicable, Outcome
from unstuck.rule import Rule, catalogue
from unstuck.tape import Tape


class Readings:
    """Readings of one tape by their class; each is taken once, and so is the reason why it cannot be."""

    def __init__(self, tape: Tape, given: Iterable[object] = ()) -> None:
        self.tape = tape
        self._taken: dict[type, object] = {Tape: tape, **{type(g): g for g in given}}

    def give(self, reading: object) -> None:
        """Add a reading that was made elsewhere (an experiment's)."""
        self._taken[type(reading)] = reading

    def of(self, kind: type) -> Any:
        """The reading of that class; raises NotApplicable with its reason."""
        if kind not in self._taken:
            self._taken[kind] = self._take(kind)
        reading = self._taken[kind]
        if isinstance(reading, NotApplicable):
            raise reading
        return reading

    def _take(self, kind: Any) -> object:
        if not hasattr(kind, "read"):
            return NotApplicable(f"no {kind.__name__.lower()} was made")
        try:
            return kind.read(self.tape)
        except NotApplicable as reason:
            return reason


def examine(readings: Readings, rules: dict[str, Rule] | None = None) -> tuple[list[Finding], list[Outcome]]:
    """All findings of all rules, and what became of each rule."""
    findings, outcomes = [], []
    for rule in (rules or catalogue()).values():
        found, outcome = _ask(rule, readings)
        findings += found
        outcomes.append(outcome)
    return findings, outcomes


def _ask(rule: Rule, readings: Readings) -> tuple[list[Finding], Outcome]:
    try:
        needs = {k: v for k, v in typing.get_type_hints(rule.check).items() if k != "return"}
        found = list(rule.check(**{name: _given(readings, kind) for name, kind in needs.items()}))
    except NotApplicable as reason:
        return [], Outcome(rule.fault, "not-applicable", str(reason))
    except Exception as error:  # one rule's failure must not cost the person the others
        return [], Outcome(rule.fault, "not-applicable", f"the rule failed: {type(error).__name__}: {error}"[:200])
    return found, Outcome(rule.fault, "fired" if found else "quiet", found[0].message if found else "")


def _given(readings: Readings, kind: Any) -> object:
    """The reading that an annotation names; None where `X | None` allows it and X cannot be taken."""
    kinds = typing.get_args(kind) or (kind,)
    try:
        return readings.of(kinds[0])
    except NotApplicable:
        if type(None) in kinds:
            return None
        raise
