"""The verb `try`: a change on trial."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from pathlib import Path

from unstuck.cli import parser
from unstuck.cli.parser import Refused
from unstuck.cli.terminal import SICK, UNSAID, WELL, paper, progress, told, written
from unstuck.recording.script import Target, check, syntax_error
from unstuck.trial.model import Trial


def attempt(options: argparse.Namespace, target: Target) -> int:
    """0: the change heals or helps. 1: it does not, or that is undecided. 3: the original script fails."""
    parser.check_output(options.json)
    if options.higher_is_better and options.lower_is_better:
        raise Refused("--higher-is-better or --lower-is-better, not both")
    if target.notebook:
        raise Refused(f"{target.name}: try runs scripts and modules, no notebooks")
    if (shown := syntax_error(target)) is not None:
        sys.stderr.write(shown)
        return told("the original script fails: " + shown.strip().rpartition("\n")[2], UNSAID)
    if (line := check(target)) is not None:
        raise Refused(line)
    try:
        trial = _conducted(options, target)
    except _Unsaid as reason:
        return told(str(reason), UNSAID)
    from unstuck.report import trial as report

    sys.stderr.write(report.verdict(trial) if options.quiet else "\n" + report.render(trial, **paper(sys.stderr)))
    if options.json == "-":
        sys.stdout.write(report.as_json(trial))
    elif options.json is not None:
        written(Path(options.json), report.as_json(trial))
    return WELL if trial.better else SICK


class _Unsaid(Exception):
    """There is nothing to report; the message says why."""


def _conducted(options: argparse.Namespace, target: Target) -> Trial:
    trials = importlib.import_module("unstuck.trial.entry")
    better = 1 if options.higher_is_better else -1 if options.lower_is_better else 0
    terms = trials.terms(options.seeds, options.worth, better, options.rerun_uncontained, options.by)
    diff = _diff(options.patch)
    try:
        with progress() as say:
            return trials.of_target(
                target, patch=diff, other=options.other, values=tuple(options.values), terms=terms, say=say
            )  # fmt: skip
    except trials.CannotChange as reason:
        raise Refused(str(reason)) from None
    except (trials.Untried, trials.NotContained) as reason:
        raise _Unsaid(str(reason)) from None
    except Exception as error:
        if os.environ.get("UNSTUCK_DEBUG"):
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        raise _Unsaid(f"the trial failed: {type(error).__name__}: {first}") from None


def _diff(path: str | None) -> str | None:
    """The text of a patch file."""
    if path is None:
        return None
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise Refused(f"{path}: {(error.strerror or str(error)).lower()}") from None
