"""A diagnosis of a notebook: places as cell and line, and the patch as a notebook and as a diff of its cells."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from unstuck.diagnosis.model import Diagnosis, FileChange, Finding, Outcome, Patch, Site, Statement
from unstuck.diagnosis.patch import diff, digest
from unstuck.tape.model import Tape
from unstuck.tape.notebook import Notebook

_LINE = re.compile(r"\bline (\d+)\b")


def on_disk(tape: Tape, sources: Mapping[str, str]) -> dict[str, str]:
    """Sources as they are in files: the text of a notebook's cells becomes the notebook. Raises ValueError."""
    book = tape.facts.notebook
    if book is None:
        return dict(sources)
    return {path: book.edited(text) if path == book.path else text for path, text in sources.items()}


def in_cells(diagnosis: Diagnosis, tape: Tape) -> Diagnosis:
    """The diagnosis with every line of the notebook's whole text as a cell and its line."""
    book = tape.facts.notebook
    if book is None:
        return diagnosis
    return msgspec.structs.replace(
        diagnosis,
        findings=tuple(_finding(book, f) for f in diagnosis.findings),
        outcomes=tuple(_outcome(book, o) for o in diagnosis.outcomes),
        notes=tuple(_said(book, note) for note in diagnosis.notes),
        statements=tuple(_statement(book, s) for s in diagnosis.statements),
        patch=_patch(tape, book, diagnosis.patch) if diagnosis.patch is not None else None,
    )


def _finding(book: Notebook, finding: Finding) -> Finding:
    site = _place(book, finding.site) if finding.site is not None else None
    return msgspec.structs.replace(finding, site=site, message=_said(book, finding.message))


def _statement(book: Notebook, statement: Statement) -> Statement:
    site = _place(book, statement.site) if statement.site is not None else None
    return msgspec.structs.replace(statement, site=site, what=_said(book, statement.what))


def _outcome(book: Notebook, outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, reason=_said(book, outcome.reason))


def _place(book: Notebook, site: Site) -> Site:
    if site.file != book.path:
        return site
    cell, line = book.cell(site.line)
    end = site.end_line - site.line + line if site.end_line != -1 else -1
    return msgspec.structs.replace(site, line=line, end_line=end, cell=cell)


def _said(book: Notebook, text: str) -> str:
    """A message of a rule, which counts lines over all cells."""
    text = re.sub(rf"{re.escape(book.path)}:(\d+)", lambda found: "cell {}:{}".format(*book.cell(int(found[1]))), text)
    return _LINE.sub(lambda found: "cell {}, line {}".format(*book.cell(int(found[1]))), text)


def _patch(tape: Tape, book: Notebook, patch: Patch) -> Patch:
    changed = {file.path: file.after for file in patch.files}
    if book.path not in changed:
        return patch
    cells = _cells(book, changed[book.path])
    if not book.content:  # a live notebook: its cells are for the person to edit
        return msgspec.structs.replace(patch, diff=cells, files=(), cells=cells)
    before = {**tape.sources, book.path: book.content}
    after = on_disk(tape, changed)
    files = tuple(FileChange(path, digest(before.get(path)), text) for path, text in after.items())
    others = diff(tape.sources, {path: text for path, text in changed.items() if path != book.path}, tape.folder)
    return msgspec.structs.replace(patch, diff=diff(before, after, tape.folder), files=files, cells=cells + others)


def _cells(book: Notebook, text: str) -> str:
    """The diff of the changed cells, each under its number."""
    new = book.split(text)
    before = {f"{book.path}, cell {c.number}": f"{c.text}\n" for c in book.cells}
    return diff(before, {f"{book.path}, cell {number}": f"{cell}\n" for number, cell in new.items()})
