"""The report as JSON, in the form that editors and CI rely on. Strict: NaN and infinity are written as null."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from unstuck.diagnosis.model import FORMAT, Finding, Proof, Report


def render(report: Report) -> str:
    """The report as indented JSON text, ending with a newline."""
    return json.dumps(strict(plain(report)), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def plain(report: Report) -> dict[str, Any]:
    """The report as dicts and lists, under the names that the format promises."""
    return {
        "format": FORMAT,
        "unstuck": report.version,
        "torch": report.torch,
        "script": report.script,
        "steps": report.steps,
        "stopped": report.stopped,
        "metric": _built(report.metric),
        "learns": report.learns,
        "causes": [_cause(finding, report) for finding in report.causes],
        "findings": [_finding(finding) for finding in report.findings],
        "proofs": [_proof(proof) for proof in report.proofs],
        "patch": _built(report.patch),
        "outcomes": _built(report.outcomes),
        "notes": list(report.notes),
        "verified": report.verified,
        "seconds": dict(report.seconds),
    }


def strict(tree: Any) -> Any:
    """The same tree with None in the place of every number that JSON does not have."""
    if isinstance(tree, dict):
        return {str(key): strict(branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [strict(branch) for branch in tree]
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    return tree if tree is None or isinstance(tree, str | int) else str(tree)


def _built(part: Any) -> Any:
    return msgspec.to_builtins(part)


def _cause(finding: Finding, report: Report) -> dict[str, Any]:
    proven = any(finding.fault in p.faults and p.verdict in ("heals", "helps") for p in report.proofs)
    return {
        "fault": finding.fault,
        "site": _built(finding.site),
        "message": finding.message,
        "proven": proven or bool(finding.demonstrated),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "fault": finding.fault,
        "severity": finding.severity,
        "role": finding.role,
        "site": _built(finding.site),
        "message": finding.message,
        "evidence": [{"what": e.what, "measured": e.measured, "expected": e.expected} for e in finding.evidence],
        "remedies": [remedy.name for remedy in finding.remedies],
        "demonstrated": finding.demonstrated,
    }


def _proof(proof: Proof) -> dict[str, Any]:
    fields: dict[str, Any] = _built(proof)
    return {"with" if name == "treated" else name: value for name, value in fields.items()}
