"""Rows as one Markdown table per collection."""

from __future__ import annotations

import math
from collections.abc import Iterable

from benchmarks.published.subject import Subject
from benchmarks.published.trial import Row

HEAD = ("subject", "published", "causes", "suspects", "named", "cause", "mended", "false causes", "result")
HEALTHY_HEAD = ("workload", "result", "state", "above a hint", "exit code")
TOOLS = ("UMLAUT", "AutoTrainer", "DeepLocalize", "DeepFD")
MENDED_SHARE = 0.8
"""The share of the way from the faulty result to the repaired one from which a patch counts."""


def tables(subjects: Iterable[Subject], rows: Iterable[Row]) -> str:
    """The tables of the collections that have rows, in the order of the subjects."""
    said = {row.name: row for row in rows}
    pairs = [(subject, said[subject.name]) for subject in subjects if subject.name in said]
    collections = dict.fromkeys(subject.collection for subject, _ in pairs)
    return "\n".join(_collection(name, [pair for pair in pairs if pair[0].collection == name]) for name in collections)


def named(subject: Subject, row: Row) -> bool:
    """Whether a cause or a suspect has a name that says a published fault."""
    return bool(set(subject.faults) & {*row.causes, *row.suspects})


def caused(subject: Subject, row: Row) -> bool:
    """Whether a cause, which an experiment has shown, says a published fault."""
    return bool(set(subject.faults) & set(row.causes))


def mended(subject: Subject, row: Row) -> bool:
    """Whether the patched script, at another seed, comes most of the way from the faulty result to the repaired one."""
    if row.patched is None or subject.broken is None or subject.repaired is None or not math.isfinite(row.patched):
        return False
    return (row.patched - subject.broken) / (subject.repaired - subject.broken) >= MENDED_SHARE


def false_causes(subject: Subject, row: Row) -> list[str]:
    """Causes that are neither published nor true besides; of a healthy program all that is above a hint."""
    said = (*row.causes, *row.suspects) if subject.healthy else row.causes
    return [fault for fault in said if fault not in (*subject.faults, *subject.also)]


def _collection(name: str, pairs: list[tuple[Subject, Row]]) -> str:
    healthy = pairs[0][0].healthy
    head, cells = (HEALTHY_HEAD, _healthy_cells) if healthy else (HEAD, _cells)
    lines = [head, ("---",) * len(head), *(cells(*pair) for pair in pairs)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {name}\n\n{body}\n\n{_healthy_sum(pairs) if healthy else _sum(pairs)}\n"


def _cells(subject: Subject, row: Row) -> tuple[str, ...]:
    marks = [_mark(judge(subject, row)) for judge in (named, caused, mended)]
    numbers = " / ".join("-" if n is None else f"{n:.2f}" for n in (subject.broken, row.patched, subject.repaired))
    shown = " (shown)" if subject.shown else ""
    lists = _lists(subject.published, row.causes, row.suspects)
    return (subject.name + shown, *lists, *marks, *_lists(false_causes(subject, row)), numbers)


def _healthy_cells(subject: Subject, row: Row) -> tuple[str, ...]:
    number = "-" if subject.broken is None else f"{subject.broken:.2f}"
    return (subject.name, number, row.state or "none", *_lists((*row.causes, *row.suspects)), str(row.code))


def _sum(pairs: list[tuple[Subject, Row]]) -> str:
    parts = [("all", pairs), ("not shown", [pair for pair in pairs if not pair[0].shown])]
    return "\n\n".join(_counts(*part) for part in parts) + _others(pairs)


def _counts(name: str, pairs: list[tuple[Subject, Row]]) -> str:
    counts = {judge.__name__: sum(judge(*pair) for pair in pairs) for judge in (named, caused, mended)}
    wrong = sum(len(false_causes(*pair)) for pair in pairs)
    return f"{name}: {len(pairs)}; " + ", ".join(f"{k} {v}" for k, v in counts.items()) + f"; false causes {wrong}"


def _others(pairs: list[tuple[Subject, Row]]) -> str:
    marks = [subject.others for subject, _ in pairs if subject.others]
    if not marks:
        return ""
    per_tool = [tuple(sum(int(m[kind][i]) for m in marks) for kind in (0, 1)) for i in range(len(TOOLS))]
    told = ", ".join(f"{tool} {found} / {right}" for tool, (found, right) in zip(TOOLS, per_tool, strict=True))
    return f"\n\nThe same {len(marks)}, detected / diagnosed: {told}"


def _healthy_sum(pairs: list[tuple[Subject, Row]]) -> str:
    loud = sum(bool(false_causes(*pair)) for pair in pairs)
    return f"{len(pairs)} healthy programs, {loud} with something above a hint"


def _mark(yes: bool) -> str:
    return "yes" if yes else "no"


def _lists(*several: Iterable[str]) -> list[str]:
    return [", ".join(words) or "-" for words in several]
