"""The command: one function per verb, each returning an exit code.

0: nothing to act on. 1: a cause or a suspect. 2: the command line was wrong. 3: the script ended or failed before
anything could be said. torch is imported late, by what needs it, so that --help and `explain` answer at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unstuck import __version__
from unstuck.cli import outputs, parser, several
from unstuck.cli.parser import EFFORT, Refused
from unstuck.cli.terminal import MISUSED, UNSAID, WELL, bar, paper, progress, told, written
from unstuck.diagnosis.model import Diagnosis
from unstuck.recording import session
from unstuck.recording.budget import limits
from unstuck.recording.ranks import Launch, launched
from unstuck.recording.script import Target, check, syntax_error


class Unsaid(Exception):
    """There is no tape to diagnose; the message says why, as in `Diagnosis.stopped`."""


def run(options: argparse.Namespace, target: Target) -> int:
    """Record the script, diagnose its tape, report."""
    for path in (options.json, options.patch, options.sarif, options.html):
        parser.check_output(path)
    launch = launched()
    if launch is not None and launch.rank:
        return several.beside(launch, target, options)
    with several.reporting(launch) as leave:
        return leave(_reported(options, target, launch))


def _reported(options: argparse.Namespace, target: Target, launch: Launch | None) -> int:
    folder = _home(target)
    try:
        with _scratch() as tape, closing(_Ahead(tape, options, alone=launch is None)) as ahead:
            _recorded(target, tape, options, ahead, launch)
            folder = _home(target, tape)
            report = _diagnosed(tape, options, ahead.reruns)
            outputs.write_page(report, options, folder, tape, target.words)
    except Unsaid as end:
        report = Diagnosis(target.name, version("torch"), __version__, steps=0, stopped=str(end), learns=None)
    outputs.show(report, options, folder, target.words)
    outputs.write_json(report, options)
    outputs.write_sarif(report, options, folder)
    outputs.write_patch(report, options, folder)
    return outputs.code(report)


def record(options: argparse.Namespace, target: Target) -> int:
    """Record only; the exit code is the script's own."""
    tape = Path(options.out)
    if tape.exists() and not (tape / "tape.json").exists() and (not tape.is_dir() or any(tape.iterdir())):
        raise Refused(f"{tape} exists and is not a tape; nothing was recorded")
    parser.check_output(str(tape.absolute().parent / (tape.name + ".new")))
    launch = launched()
    if launch is not None and launch.rank:
        return several.beside(launch, target, options)
    try:
        with _scratch() as scratch, launch.reporting() if launch is not None else nullcontext():
            code = _recorded(target, scratch, options, lambda over: None, launch)
            shutil.rmtree(tape, ignore_errors=True)
            shutil.move(scratch, tape)
    except Unsaid as end:
        return told(str(end), UNSAID)
    return told(f"the tape is {tape}", code if 0 <= code < 256 else UNSAID)


def attempt(options: argparse.Namespace, target: Target) -> int:
    """Put a change on trial; 0 where it helps or heals."""
    from unstuck.cli import trials

    return trials.attempt(options, target)


def show(options: argparse.Namespace) -> int:
    """Print what is on a tape."""
    from unstuck.report import tape_view

    parser.check_output(options.html)
    tape = outputs.loaded(Path(options.tape))
    sys.stdout.write(tape_view.render(tape, **paper(sys.stdout)))
    if options.html is not None:
        shown = Diagnosis(tape.script, tape.torch, __version__, tape.steps, tape.stopped, learns=None)
        outputs.write_page(shown, options, Path(tape.folder), Path(options.tape))
    return WELL


def dossier(options: argparse.Namespace) -> int:
    """Write what flows through a recorded run."""
    parser.check_output(options.json)
    from unstuck.report import dossier as pages

    report, _ = _of_tape(options)
    tape = outputs.loaded(Path(options.tape))
    looks = importlib.import_module("unstuck.signals.looks").looks(tape)
    told = pages.plain(report, looks, importlib.import_module("unstuck.signals.account").account(tape))
    if options.json not in (None, "-"):
        written(Path(options.json), pages.render_json(told))
    else:
        sys.stdout.write(pages.render_json(told) if options.json else pages.render(told))
    return WELL


def prove(options: argparse.Namespace) -> int:
    """Diagnose a tape."""
    for path in (options.json, options.sarif, options.html):
        parser.check_output(path)
    report, folder = _of_tape(options)
    outputs.write_page(report, options, folder, Path(options.tape))
    outputs.show(report, options, folder)
    outputs.write_json(report, options)
    outputs.write_sarif(report, options, folder)
    return outputs.code(report)


def fix(options: argparse.Namespace) -> int:
    """Print, write or apply the patch that a tape proves."""
    parser.check_output(options.patch)
    report, folder = _of_tape(options)
    if report.patch is None:
        return told("no fix was found", outputs.code(report))
    if not options.patch and not options.write:
        sys.stdout.write(report.patch.diff or f"{report.patch.advice}\n")
    outputs.write_patch(report, options, folder)
    return outputs.code(report)


def explain(options: argparse.Namespace) -> int:
    """Print a fault's page, or the list of faults."""
    from unstuck.report import terminal
    from unstuck.rules.catalogue import pages

    found = pages()
    if options.fault is None:
        sys.stdout.write(terminal.index(found))
        return WELL
    name = options.fault.replace("_", "-").lower()
    if name not in found:
        near = " or ".join(difflib.get_close_matches(name, found, n=3))
        raise Refused(
            f"no fault is called {options.fault}; "
            + (f"did you mean {near}?" if near else "unstuck explain lists them")
        )
    sys.stdout.write(terminal.page(name, found[name], **paper(sys.stdout)))
    return WELL


def mcp(options: argparse.Namespace) -> int:
    """Serve a coding agent until it closes stdin."""
    try:
        server = importlib.import_module("unstuck.mcp.server")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "anyio", "pydantic"):
            raise
        raise Refused("unstuck mcp needs mcp: pip install 'unstuck[mcp]'") from None
    server.serve(options.rerun_uncontained)
    return WELL


def fit(options: argparse.Namespace) -> int:
    """Train on a table, report, save the model."""
    from unstuck.cli import tables

    return tables.fit(options)


def predict(options: argparse.Namespace) -> int:
    """Predict the rows of a table with a fitted model."""
    from unstuck.cli import tables

    return tables.predict(options)


def export(options: argparse.Namespace) -> int:
    """Write a fitted model as an ONNX file."""
    from unstuck.cli import tables

    return tables.export(options)


def study(options: argparse.Namespace) -> int:
    """Re-run a study and print what it shows."""
    parser.check_output(options.html)
    from unstuck.tabular.studies import command, page, terminal
    from unstuck.tabular.studies.story import Unavailable

    try:
        with bar() as advance:
            story = command.run(options, advance)
    except Unavailable as reason:
        raise Refused(str(reason)) from None
    sys.stdout.write(terminal.render(story, **paper(sys.stdout)))
    if options.html is not None:
        written(Path(options.html), page.render(story))
    return WELL


def _recorded(
    target: Target,
    tape: Path,
    options: argparse.Namespace,
    meanwhile: Callable[[Callable[[], bool]], object],
    launch: Launch | None = None,
) -> int:
    """Record the script; its return code. Raises Unsaid if it leaves no tape."""
    if (shown := syntax_error(target)) is not None:
        sys.stderr.write(shown)
        raise Unsaid("script failed: " + shown.strip().rpartition("\n")[2])
    if (line := check(target)) is not None:
        raise Refused(line)
    allowed = limits(options.steps, options.seconds, EFFORT[options.effort])
    code = session.record(target, tape, allowed, meanwhile, launch and launch.folder)
    if not (tape / "tape.json").exists():
        raise Unsaid(session.ending(code))
    return code


class _Ahead:
    """What is done while the script runs: imports, and the experiments that will probably be asked for."""

    def __init__(self, tape: Path, options: argparse.Namespace, alone: bool) -> None:
        self._tape, self._options, self._alone = tape, options, alone
        self.reruns: Any = None

    def __call__(self, over: Callable[[], bool]) -> None:
        with suppress(Exception):  # what is wrong with it shows when it is needed
            ahead = importlib.import_module("unstuck.diagnosis.ahead")
            ahead.warm()
            if self._alone:  # the tape of several ranks is merged at their end
                self.reruns = ahead.PatchedRuns(self._options.rerun_uncontained)
                ahead.work(self._tape, _asked(ahead, self._options), over, self.reruns)

    def close(self) -> None:
        """End what nobody asked for."""
        if self.reruns is not None:
            self.reruns.close()


def _asked(pipeline: Any, options: argparse.Namespace) -> Any:
    """The options of the diagnosis."""
    return pipeline.Options(
        prove=not getattr(options, "no_prove", False),
        effort=EFFORT[getattr(options, "effort", "normal")],
        uncontained=options.rerun_uncontained,
        ask=getattr(options, "ask", None) or "",
    )


def _diagnosed(tape: Path, options: argparse.Namespace, reruns: Any = None) -> Diagnosis:
    """The diagnosis of a tape. A failure of our own is one line; UNSTUCK_DEBUG=1 shows the traceback."""
    try:
        pipeline = importlib.import_module("unstuck.diagnosis.pipeline")
        with progress() as say:
            return pipeline.diagnose(tape, _asked(pipeline, options), say, reruns)
    except Exception as error:
        if os.environ.get("UNSTUCK_DEBUG"):
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        raise Unsaid(f"the diagnosis failed: {type(error).__name__}: {first}") from None


def _home(target: Target, tape: Path | None = None) -> Path:
    """The folder that paths in a report and its patch are relative to; where a module starts scripts, the script's."""
    if target.path is not None:
        return Path(target.path).resolve().parent
    return Path(outputs.loaded(tape).folder) if tape is not None else Path.cwd()


def _of_tape(options: argparse.Namespace) -> tuple[Diagnosis, Path]:
    """The diagnosis of an existing tape, and the folder of its sources."""
    folder = Path(outputs.loaded(Path(options.tape)).folder)
    try:
        return _diagnosed(Path(options.tape), options), folder
    except Unsaid as end:
        raise Refused(str(end)) from None


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "tape"


VERBS: dict[str, Callable[..., int]] = {
    "run": run, "try": attempt, "record": record, "show": show, "dossier": dossier, "prove": prove,
    "fix": fix, "explain": explain, "mcp": mcp, "fit": fit, "predict": predict, "export": export, "study": study,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        options, target = parser.read(list(sys.argv[1:] if argv is None else argv))
        verb = VERBS[options.verb]
        return verb(options) if target is None else verb(options, target)
    except Refused as refused:
        return told(str(refused), MISUSED)
    except KeyboardInterrupt:
        return told("interrupted", UNSAID)
