"""What a command leaves behind: the report on the screen, files of it, the patch, the exit code."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from unstuck.cli.parser import Refused
from unstuck.cli.terminal import MISUSED, SICK, UNSAID, WELL, paper, told, written
from unstuck.diagnosis import patch
from unstuck.diagnosis.model import Diagnosis
from unstuck.report.sentences import failed


def loaded(folder: Path) -> Any:
    """The tape in a folder. Raises Refused where there is none."""
    from unstuck.tape.files import TapeError, load

    try:
        return load(folder)
    except TapeError as error:
        raise Refused(str(error)) from None


def code(report: Diagnosis) -> int:
    """The exit code that a report asks for."""
    proven = any(statement.proven for statement in report.statements)
    if report.causes or report.suspects or report.broke or report.misled or proven:
        return SICK
    return UNSAID if failed(report) or not report.steps else WELL


def show(report: Diagnosis, options: argparse.Namespace, folder: Path, target: str = "") -> None:
    """The report, or its verdict alone, on stderr."""
    from unstuck.report import terminal

    sheet = {**paper(sys.stderr), "folder": folder}
    # An empty line separates the report from the script's own output.
    if options.quiet:
        text = terminal.verdict(report, **sheet)
    else:
        text = "\n" + terminal.render(report, **sheet, target=target, verbose=options.verbose)
    sys.stderr.write(text)
    sys.stderr.flush()


def write_json(report: Diagnosis, options: argparse.Namespace) -> None:
    """The diagnosis as JSON, to a file or to stdout."""
    from unstuck.report import json as as_json

    if options.json == "-":
        sys.stdout.write(as_json.render(report))
    elif options.json is not None:
        written(Path(options.json), as_json.render(report))


def write_page(report: Diagnosis, options: argparse.Namespace, folder: Path, tape: Path, target: str = "") -> None:
    """The page, with figures where the tape can be read; a failure of ours is one line."""
    if options.html is None:
        return
    from unstuck.report.html import page

    try:
        looks = importlib.import_module("unstuck.signals.looks").looks(loaded(tape)) if report.steps else None
        written(Path(options.html), page.render(report, looks, folder=folder, target=target))
    except Exception as error:
        told(f"{options.html} was not written: {type(error).__name__}: {error}", MISUSED)


def write_sarif(report: Diagnosis, options: argparse.Namespace, folder: Path) -> None:
    """The findings for code review, to a file or to stdout."""
    from unstuck.report import sarif

    if options.sarif is not None:
        here = Path.cwd()
        root = folder.relative_to(here).as_posix() if folder.is_relative_to(here) else ""
        text = sarif.render(report, root=root)
        if options.sarif == "-":
            sys.stdout.write(text)
        else:
            written(Path(options.sarif), text)


def write_patch(report: Diagnosis, options: argparse.Namespace, folder: Path) -> None:
    """The patch to a file; with `--write`, into the person's files."""
    diff = report.patch.diff if report.patch is not None else ""
    # A patch file of an earlier run must not be taken for this run's.
    if options.patch is not None and (diff or Path(options.patch).exists()):
        written(Path(options.patch), diff)
    if options.write and report.patch is not None and not report.patch.files:
        told(f"no file was changed: {report.patch.advice}", SICK)
    elif options.write and report.patch is not None:
        try:
            changed = patch.apply(report.patch.files, folder)
        except (patch.PatchError, OSError) as error:
            told(f"the patch was not applied: {error}", MISUSED)
        else:
            told("changed " + ", ".join(map(str, changed)) + " (the original stays beside it as .orig)", SICK)
