"""The diagnosis as JSON, in the form that editors and CI rely on. Strict: NaN and infinity are written as null."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from unstuck.diagnosis.experiment import Experiment, Micro
from unstuck.diagnosis.model import FORMAT, Diagnosis, Finding
from unstuck.report.sentences import means, to_settle


def render(diagnosis: Diagnosis) -> str:
    """The diagnosis as indented JSON text, ending with a newline."""
    return json.dumps(strict(plain(diagnosis)), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def plain(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as dicts and lists, under the names that the format promises."""
    return {
        "format": FORMAT,
        "unstuck": diagnosis.version,
        "torch": diagnosis.torch,
        "script": diagnosis.script,
        "steps": diagnosis.steps,
        "stopped": diagnosis.stopped,
        "metric": _built(diagnosis.metric),
        "learns": diagnosis.learns,
        "state": diagnosis.state,
        "scores": _scores(diagnosis),
        "unjudged": diagnosis.unjudged or None,
        "loss_is_finite": not diagnosis.broke,
        "headroom": _built(diagnosis.headroom),
        "gap": _built(diagnosis.gap),
        "recorded": _built(diagnosis.recorded),
        "causes": [_cause(finding) for finding in diagnosis.causes],
        "findings": [_finding(finding, diagnosis) for finding in diagnosis.findings],
        "proofs": [_proof(e) for e in diagnosis.log if e.request.remedies or e.request.faults],
        "statements": _built(diagnosis.statements),
        "micro": [_micro(e) for e in diagnosis.log if isinstance(e.request.means, Micro)],
        "patch": _patch(diagnosis),
        "outcomes": _built(diagnosis.outcomes),
        "notes": list(diagnosis.notes),
        "verified": diagnosis.verified,
        "seconds": dict(diagnosis.seconds),
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


def _scores(diagnosis: Diagnosis) -> dict[str, Any]:
    scores, printed = diagnosis.scores, diagnosis.scores.printed
    told = None
    if printed is not None:
        place = {"line": printed.line, "computed_from": printed.rows or None}
        told = {"label": printed.label, "value": printed.value, **place}
    return {"training": scores.training, "held_out": scores.held_out, "printed": told}


def _cause(finding: Finding) -> dict[str, Any]:
    return {
        "fault": finding.fault,
        "site": _built(finding.site),
        "message": finding.message,
        "proven": finding.effect.word == "proven",
    }


def _finding(finding: Finding, diagnosis: Diagnosis) -> dict[str, Any]:
    undecided = finding.effect.word == "undecided"
    return {
        "fault": finding.fault,
        "severity": finding.severity,
        "role": finding.role,
        "known": finding.known,
        "origin": finding.origin,
        "effect": finding.effect.word,
        "effect_because": finding.effect.because,
        "undecided_because": finding.effect.because if undecided else None,
        "to_settle": to_settle(finding, diagnosis) if finding.role == "suspect" else None,
        "site": _built(finding.site),
        "message": finding.message,
        "evidence": [{"what": e.what, "measured": e.measured, "expected": e.expected} for e in finding.evidence],
        "remedies": [remedy.name for remedy in finding.remedies],
    }


def _proof(experiment: Experiment) -> dict[str, Any]:
    return {
        "remedies": [r.name for r in experiment.request.remedies],
        "faults": list(experiment.request.faults),
        "means": means(experiment),
        "verdict": experiment.word,
        "why": experiment.why,
        "power": experiment.power,
        "lanes": experiment.lanes,
        "steps": experiment.steps,
        "without": _built(experiment.without),
        "with": _built(experiment.treated),
        "p": experiment.p,
        "interval": list(experiment.interval) if experiment.interval is not None else None,
        "seconds": experiment.seconds,
        "contained": experiment.contained or None,
    }


def _micro(experiment: Experiment) -> dict[str, Any]:
    assert isinstance(experiment.request.means, Micro)
    told = {"experiment": experiment.request.means.kind, "made": experiment.made, "why": experiment.why}
    return {**told, "numbers": experiment.numbers, "seconds": experiment.seconds}


def _patch(diagnosis: Diagnosis) -> dict[str, Any] | None:
    patch = diagnosis.patch
    if patch is None:
        return None
    plain = {"trust": patch.trust, "proven": patch.proven, "diff": patch.diff, "remedies": list(patch.remedies)}
    told = {"environment": patch.environment, "advice": patch.advice, "cells": patch.cells}
    return {**plain, "arguments": list(patch.arguments), **told}
