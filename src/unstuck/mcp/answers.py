"""Short structured answers: what an agent needs of a diagnosis, an experiment or a trial, with numbers. No torch."""

from __future__ import annotations

from typing import Any

import msgspec

from unstuck.diagnosis.experiment import Experiment
from unstuck.diagnosis.model import Diagnosis, Finding
from unstuck.report import json as as_json
from unstuck.report import sentences
from unstuck.tape.site import Site
from unstuck.trial.model import Trial

SCHEMA = 1
"""Of every answer; raised when a key goes or changes its meaning."""
FINDINGS, EVIDENCE, EXPERIMENTS, HINTS, NOTES = 8, 4, 10, 12, 6
"""At most, of each."""
DIFF = 6_000
"""Characters of a patch."""
DIGITS = 5
TEXT = 400
"""Characters of a sentence that comes from elsewhere."""


def answer(tool: str, told: dict[str, Any], abstained: str | None = None) -> dict[str, Any]:
    """What a tool answers; `abstained`: why nothing can be said, None where something is."""
    return _brief(as_json.strict({"schema_version": SCHEMA, "tool": tool, "abstained": abstained, **told}))


def diagnosis(found: Diagnosis, tape: str | None) -> dict[str, Any]:
    """Of `diagnose`."""
    told = {
        "tape": tape,
        "script": found.script,
        "verdict": " ".join(sentences.verdict(found)),
        "state": found.state,
        "learns": found.learns,
        "steps": found.steps,
        "stopped": found.stopped[:TEXT],
        "metric": _built(found.metric),
        "headroom": _headroom(found),
        "causes": [_finding(f) for f in found.causes[:FINDINGS]],
        "suspects": [_finding(f) for f in found.suspects[:FINDINGS]],
        "statements": [f"{_place(s.site)}: {s.what}" for s in found.statements[:FINDINGS]],
        "hints": list(dict.fromkeys(f.fault for f in found.findings if f.role == "hint"))[:HINTS],
        "experiments": [experiment(e) for e in _telling(found)[:EXPERIMENTS]],
        "patch": _patch(found),
        "patched_run": found.verified or None,
        "notes": [n[:TEXT] for n in found.notes[:NOTES]],
    }
    return answer("diagnose", told, silent(found))


def silent(found: Diagnosis) -> str | None:
    """Why a diagnosis says nothing; None where it says something."""
    if found.causes or found.suspects or found.statements or found.broke:
        return None
    if not found.steps:
        return f"no training step was recorded: {found.stopped[:TEXT]}"
    if found.state == "too-early":
        return f"too early to tell after {found.steps} steps: {found.stopped[:TEXT]}; record more"
    if found.state == "unknown":
        return found.unjudged or "no score says how well this run learns"
    if found.state in ("does-not-learn", "below-headroom"):
        return "the run does not learn as its rows allow, and no rule or experiment found why"
    return None


def experiment(made: Experiment) -> dict[str, Any]:
    """One entry of the log."""
    arms = made.without.lanes and made.treated.lanes
    return {
        "remedies": [r.name for r in made.request.remedies],
        "faults": list(made.request.faults),
        "means": sentences.means(made),
        "verdict": made.word,
        "skill_without": made.without.final if arms else None,
        "skill_with": made.treated.final if arms else None,
        "p": made.p,
        "interval": list(made.interval) if made.interval is not None else None,
        "lanes": made.lanes,
        "steps": made.steps,
        "why": made.why[:TEXT],
    }


def trial(done: Trial) -> dict[str, Any]:
    """Of `try_patch`."""
    told = {
        "verdict": done.word,
        "better": done.better,
        "change": done.change[:TEXT],
        "why": done.why[:TEXT],
        "measure": _built(done.measure),
        "difference": done.difference,
        "interval": list(done.interval) if done.interval is not None else None,
        "p": done.p,
        "worth": done.worth,
        "pairs": [[p.original, p.changed] for p in done.pairs],
        "most_pairs": done.most,
        "contained": done.contained,
        "notes": [n[:TEXT] for n in done.notes[:NOTES]],
    }
    return answer("try_patch", told, f"undecided: {done.why[:TEXT]}" if done.word == "undecided" else None)


def page(fault: str, text: str) -> dict[str, Any]:
    """Of `explain`, for one fault."""
    title, _, rest = text.strip().partition("\n")
    return answer("explain", {"fault": fault, "title": title.rstrip("."), "page": rest.strip()})


def index(pages: dict[str, str]) -> dict[str, Any]:
    """Of `explain`, without a name."""
    return answer("explain", {"faults": {name: text.strip().splitlines()[0] for name, text in sorted(pages.items())}})


def _brief(tree: Any) -> Any:
    """Numbers with DIGITS significant digits."""
    if isinstance(tree, dict):
        return {key: _brief(branch) for key, branch in tree.items()}
    if isinstance(tree, list):
        return [_brief(branch) for branch in tree]
    return float(f"{tree:.{DIGITS}g}") if isinstance(tree, float) else tree


def _built(part: Any) -> Any:
    return msgspec.to_builtins(part)


def _place(site: Site | None) -> str | None:
    return sentences.place(site) if site is not None else None


def _headroom(found: Diagnosis) -> dict[str, Any] | None:
    room = found.headroom
    if room is None:
        return None
    return {"metric": room.metric, "run": room.run, "baseline": room.baseline, "by": room.by, "rows": room.rows}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "fault": finding.fault,
        "at": _place(finding.site),
        "message": finding.message,
        "known": finding.known,
        "effect": finding.effect.word,
        "because": finding.effect.because[:TEXT],
        "evidence": [[e.what, e.measured, e.expected] for e in finding.evidence[:EVIDENCE]],
        "remedies": [r.name for r in finding.remedies],
    }


def _telling(found: Diagnosis) -> list[Experiment]:
    """The decisive one first, then what else was tried."""
    best = sentences.decisive(found)
    rest = [e for e in found.log if e.request.remedies and e is not best]
    return [*([best] if best is not None else []), *rest]


def _patch(found: Diagnosis) -> dict[str, Any] | None:
    patch = found.patch
    if patch is None:
        return None
    cut = len(patch.diff) > DIFF
    return {
        "trust": patch.trust,
        "proven": patch.proven,
        "diff": patch.diff[:DIFF],
        "cut": cut,
        "advice": patch.advice or None,
    }
