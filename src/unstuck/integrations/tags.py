"""A diagnosis in a few words, for places that show words beside a run."""

from __future__ import annotations

from unstuck.integrations.watching import Report

NONE = "none"


def tags(report: Report) -> dict[str, str]:
    """state, causes and suspects: what `unstuck run --json` calls so, faults joined by commas."""
    found = report.diagnosis
    named = {role: [f["fault"] for f in found["findings"] if f["role"] == role] for role in ("cause", "suspect")}
    return {
        "state": found["state"],
        "causes": ", ".join(dict.fromkeys(named["cause"])) or NONE,
        "suspects": ", ".join(dict.fromkeys(named["suspect"])) or NONE,
    }
