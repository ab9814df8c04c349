"""The diagnosis as SARIF 2.1.0, for code scanning and editors.

A cause is an error, a suspect a warning, everything else a note. Each rule's page is its help text, and the patch is
the fix of the first cause. Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from unstuck.diagnosis.model import Diagnosis, Finding, Site
from unstuck.report.sentences import failed, number, verdict
from unstuck.rules.catalogue import pages

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"cause": "error", "suspect": "warning", "consequence": "note", "hint": "note"}
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")

Plain = dict[str, Any]


def render(diagnosis: Diagnosis, *, root: str = "") -> str:
    """The diagnosis as indented SARIF text. `root` is the script's folder, relative to that of the repository."""
    rules = sorted({f.fault for f in diagnosis.findings})
    known = pages()
    run = {
        "tool": {"driver": _driver(diagnosis, rules, known)},
        "invocations": [_invocation(diagnosis)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, rules.index(f.fault), root) for f in diagnosis.findings],
    }
    _add_fix(run["results"], diagnosis, root)
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _driver(diagnosis: Diagnosis, rules: list[str], known: Mapping[str, str]) -> Plain:
    return {"name": "unstuck", "version": diagnosis.version, "rules": [_rule(n, known.get(n, "")) for n in rules]}


def _rule(name: str, page: str) -> Plain:
    title = page.partition("\n")[0].rstrip(".") or name
    words = "".join(part.capitalize() for part in name.split("-"))
    help_text = {"text": page or name, "markdown": page or name}
    return {"id": name, "name": words, "shortDescription": {"text": title}, "help": help_text}


def _invocation(diagnosis: Diagnosis) -> Plain:
    notes = [{"level": "note", "message": {"text": line}} for line in (*verdict(diagnosis), *diagnosis.notes)]
    return {"executionSuccessful": not failed(diagnosis), "toolExecutionNotifications": notes}


def _result(finding: Finding, rule: int, root: str) -> Plain:
    result: Plain = {
        "ruleId": finding.fault,
        "ruleIndex": rule,
        "level": LEVELS[finding.role],
        "message": {"text": _message(finding)},
        "partialFingerprints": {"fault/v1": _fingerprint(finding)},
        "properties": {"role": finding.role, "known": finding.known, "effect": finding.effect.word},
    }
    return result | ({"locations": [_location(finding.site, root)]} if finding.site is not None else {})


def _message(finding: Finding) -> str:
    seen = (f"{e.what}: {number(e.measured)} (expected {e.expected})" for e in finding.evidence)
    told = [finding.message, *seen, *([finding.effect.because] if finding.effect.because else [])]
    return ". ".join(dict.fromkeys(told))


def _fingerprint(finding: Finding) -> str:
    """The same for a fault in the same function of a file, whatever line it moves to."""
    site = finding.site
    place = (site.file, site.function, str(site.cell)) if site is not None else ()
    return hashlib.sha256("\0".join((finding.fault, *place)).encode()).hexdigest()


def _location(site: Site, root: str) -> Plain:
    if site.cell:  # a line of a cell is no line of the notebook's file
        place: Plain = {"artifactLocation": {"uri": _uri(site.file, root)}}
        said = {"message": {"text": f"cell {site.cell}, line {site.line}"}}
        return {"physicalLocation": place} | said
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(site.file, root)}, "region": _region(site)}}


def _uri(file: str, root: str) -> str:
    return quote(str(PurePosixPath(root.replace("\\", "/"), file.replace("\\", "/"))))


def _region(site: Site) -> Plain:
    """SARIF counts columns from 1, and its end column is the one after the last character."""
    region: Plain = {"startLine": max(site.line, 1)}
    if site.column >= 0:
        region["startColumn"] = site.column + 1
    if site.end_line >= site.line and site.column >= 0 and site.end_column >= 0:
        region |= {"endLine": site.end_line, "endColumn": site.end_column + 1}
    return region


def _add_fix(results: list[Plain], diagnosis: Diagnosis, root: str) -> None:
    patch = diagnosis.patch
    changes = list(_changes(patch.diff, root)) if patch is not None and patch.diff and not patch.cells else []
    first = next((r for r in results if r["level"] in ("error", "warning")), None)
    if first is not None and changes and patch is not None:
        proven = "proven by a run of the patched script" if patch.proven else "not proven"
        first["fixes"] = [
            {"description": {"text": f"{', '.join(patch.remedies)} ({proven})"}, "artifactChanges": changes}
        ]


def _changes(diff: str, root: str) -> Iterator[Plain]:
    """Each file of a unified diff with what it replaces."""
    for part in re.split(r"(?m)^--- a/", diff)[1:]:
        lines = part.split("\n")
        yield {"artifactLocation": {"uri": _uri(lines[0].partition("\t")[0], root)}, "replacements": _replaced(lines)}


def _replaced(lines: list[str]) -> list[Plain]:
    """Runs of removed and added lines, as whole lines of the file before the change."""
    found: list[Plain] = []
    at, gone, new = 1, 0, []

    def close() -> None:
        if gone or new:
            region = {"startLine": at - gone, "startColumn": 1, "endLine": at, "endColumn": 1}
            found.append({"deletedRegion": region, "insertedContent": {"text": "".join(new)}})

    for line in lines[2:]:
        if line.startswith("+"):
            new.append(line[1:] + "\n")
        elif line.startswith("-"):
            at, gone = at + 1, gone + 1
        elif hunk := HUNK.match(line):
            close()
            # A hunk of no old lines names the line before it.
            at, gone, new = int(hunk[1]) + (hunk[2] == "0"), 0, []
        elif line.startswith(" "):
            close()
            at, gone, new = at + 1, 0, []
    close()
    return found
