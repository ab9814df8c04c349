"""A finding about what a script reports: shared by the parts of metric-error."""

from __future__ import annotations

import ast

from unstuck.diagnosis.model import Evidence, Finding, Severity
from unstuck.signals.source import Source

FAULT = "metric-error"


def misreported(source: Source, node: ast.AST, said: str, *remedies: object, severity: Severity = "error") -> Finding:
    site = source.site(node)
    told = f"line {site.line}: {said}" if severity == "error" else ""
    evidence = Evidence(
        "in the text", source.code(source.statement(node)).splitlines()[0].strip(), "what the name promises"
    )
    return Finding(
        FAULT, said, site, (evidence,), remedies, severity, "hint" if severity == "hint" else "suspect", told
    )
