"""The finding of metric-error, shared by its parts."""

from __future__ import annotations

import ast

from unstuck.diagnosis.model import Effect, Evidence, Finding, Severity, proven
from unstuck.signals.source import Source

FAULT = "metric-error"


def misreported(
    source: Source, node: ast.AST, said: str, *remedies: object, severity: Severity = "error", shown: str = ""
) -> Finding:
    """A finding read in the source; `shown` is what the recorded output shows of it."""
    code = source.code(source.statement(node)).splitlines()[0].strip()
    evidence = (Evidence("source", code, "the metric that its name says"),)
    known, effect = ("observed", proven(shown)) if shown else ("read", Effect())
    if severity == "hint":
        effect = Effect("refuted", "only the scale of the printed loss is wrong: it falls and rises as it should")
    return Finding(FAULT, said, source.site(node), evidence, remedies, severity, known=known, effect=effect)
