"""The command: one function per verb, each returning an exit code. The only module that prints or exits.

0: nothing wrong was found. 1: a cause was found. 2: the command line was wrong. 3: the script ended or failed before
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
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from unstuck import __version__, arguments, patch, recording
from unstuck.arguments import Refused
from unstuck.diagnosis import Report
from unstuck.report.sentences import failed
from unstuck.target import Target, check, syntax_error

WELL, SICK, MISUSED, UNSAID = 0, 1, 2, 3
INTERRUPTED = 130
"""As shells say it of Ctrl-C."""


class Unsaid(Exception):
    """Nothing could be said about the script; the message is what became of it, as in a report's `stopped`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        options, target = arguments.read(list(sys.argv[1:] if argv is None else argv))
        verb: Callable[..., int] = globals()[options.verb]
        return verb(options) if target is None else verb(options, target)
    except Refused as refused:
        return _told(str(refused), MISUSED)
    except KeyboardInterrupt:
        return _told("interrupted", UNSAID)


def run(options: argparse.Namespace, target: Target) -> int:
    """Record the script, examine the tape, prove the repair, report."""
    arguments.check_output(options.json)
    arguments.check_output(options.patch)
    try:
        with _scratch() as tape:
            _recorded(target, tape, options)
            report = _diagnosed(tape, prove=not options.no_prove)
    except Unsaid as end:
        report = Report(target.name, version("torch"), __version__, steps=0, stopped=str(end), learns=None)
    folder = _home(target)
    _show(report, options, folder, target.words)
    _write_json(report, options)
    _write_patch(report, options, folder)
    return _code(report)


def record(options: argparse.Namespace, target: Target) -> int:
    """Record only; the exit code is the script's own."""
    tape = Path(options.out)
    if tape.exists() and not (tape / "tape.json").exists() and (not tape.is_dir() or any(tape.iterdir())):
        raise Refused(f"{tape} exists and is not a tape; nothing was recorded")
    arguments.check_output(str(tape.absolute().parent / (tape.name + ".new")))
    try:
        with _scratch() as scratch:
            code = _recorded(target, scratch, options)
            shutil.rmtree(tape, ignore_errors=True)
            shutil.move(scratch, tape)
    except Unsaid as end:
        return _told(str(end), UNSAID)
    return _told(f"the tape is {tape}", code if 0 <= code < 256 else UNSAID)


def show(options: argparse.Namespace) -> int:
    """What is on a tape."""
    from unstuck.report import reel

    sys.stdout.write(reel.render(_loaded(Path(options.tape)), **_paper(sys.stdout)))
    return WELL


def prove(options: argparse.Namespace) -> int:
    """Examine a tape and prove the repair."""
    arguments.check_output(options.json)
    report, folder = _of_tape(options)
    _show(report, options, folder)
    _write_json(report, options)
    return _code(report)


def fix(options: argparse.Namespace) -> int:
    """The repair that a tape proves, as a diff on stdout, in a file, or in the script itself."""
    arguments.check_output(options.patch)
    report, folder = _of_tape(options)
    if report.patch is None:
        return _told("no repair was found", _code(report))
    if not options.patch and not options.write:
        sys.stdout.write(report.patch.diff)
    _write_patch(report, options, folder)
    return _code(report)


def explain(options: argparse.Namespace) -> int:
    """A fault's page, or the list of faults."""
    from unstuck.report import terminal
    from unstuck.rule import pages

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
    sys.stdout.write(terminal.page(name, found[name], **_paper(sys.stdout)))
    return WELL


def study(options: argparse.Namespace) -> int:
    """Re-run a founding story and tell what it shows."""
    arguments.check_output(options.html)
    from unstuck.studies import command, page, terminal
    from unstuck.studies.story import Unavailable

    try:
        with _bar() as progress:
            story = command.run(options, progress)
    except Unavailable as reason:
        raise Refused(str(reason)) from None
    sys.stdout.write(terminal.render(story, **_paper(sys.stdout)))
    if options.html is not None:
        _written(Path(options.html), page.render(story))
    return WELL


def fit(options: argparse.Namespace) -> int:
    """Train on a table, judge, report, keep the model."""
    from unstuck.fit import command, plots
    from unstuck.fit.progress import Progress

    for path in (options.model, options.json, options.plot):
        arguments.check_output(path)
    plots.check(options.plot)
    live = sys.stderr.isatty() and not options.quiet
    progress = Progress(sys.stderr, live, shutil.get_terminal_size((100, 24)).columns, options.quiet)
    try:
        with _in_one_line("the training"):
            fitted = command.fit(options, progress)
    except command.Interrupted as left:
        return _told(str(left), INTERRUPTED)
    except KeyboardInterrupt:
        return _told("interrupted before there was anything to keep", INTERRUPTED)
    return _show_fitted(fitted, options)


def predict(options: argparse.Namespace) -> int:
    """A fitted model's answers to the rows of a table."""
    from unstuck.fit.prediction import predict as answered

    arguments.check_output(options.out)
    try:
        with _in_one_line("the prediction"):
            rows = answered(options, sys.stdout, lambda line: print(f"unstuck: {line}", file=sys.stderr))
    except BrokenPipeError:  # whoever read our lines has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WELL
    return WELL if options.out is None else _told(f"{rows:,} rows answered in {options.out}", WELL)


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """Whatever goes wrong inside is one line; UNSTUCK_DEBUG=1 shows all of what nobody foresaw."""
    from unstuck.fit.command import Interrupted
    from unstuck.fit.store import ModelError
    from unstuck.tables import TableError

    try:
        yield
    except (Refused, Interrupted, BrokenPipeError):
        raise
    except (TableError, ModelError) as error:
        raise Refused(str(error)) from None
    except Exception as error:
        if os.environ.get("UNSTUCK_DEBUG"):
            traceback.print_exc()
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise Refused(f"{what} failed: {(str(why).splitlines() or [''])[0]}") from None


def _show_fitted(fitted: Any, options: argparse.Namespace) -> int:
    from unstuck.fit import plots, report

    if options.json == "-":
        sys.stdout.write(_json(fitted))
    else:
        sys.stdout.write(report.verdict(fitted) if options.quiet else report.render(fitted, **_paper(sys.stdout)))
    done = options.json in (None, "-") or _written(Path(options.json), _json(fitted))
    if options.plot is not None:
        try:
            plots.draw(fitted, Path(options.plot))
        except OSError as error:
            done = False
            _told(f"{options.plot} could not be written: {error.strerror}", MISUSED)
    return WELL if done else MISUSED


def _json(fitted: Any) -> str:
    import json

    return json.dumps(fitted.plain(), indent=1, ensure_ascii=False) + "\n"


def _recorded(target: Target, tape: Path, options: argparse.Namespace) -> int:
    """Record the target; its return code. Raises Unsaid where there is no tape afterwards."""
    if (shown := syntax_error(target)) is not None:
        sys.stderr.write(shown)
        raise Unsaid("script failed: " + shown.strip().rpartition("\n")[2])
    if (line := check(target)) is not None:
        raise Refused(line)
    if options.verb == "run":  # what the analysis needs is imported while the script runs
        threading.Thread(target=_warmed, daemon=True).start()
    code = recording.record(target, tape, options.steps, options.seconds)
    if not (tape / "tape.json").exists():
        raise Unsaid(recording.ending(code))
    return code


def _warmed() -> None:
    with suppress(Exception):  # what is wrong with it shows when it is needed
        importlib.import_module("unstuck.pipeline").warm()


def _diagnosed(tape: Path, prove: bool = True) -> Report:
    """The report on a tape. A failure of our own is one line; UNSTUCK_DEBUG=1 shows all of it."""
    try:
        pipeline = importlib.import_module("unstuck.pipeline")
        with _progress() as progress:
            return pipeline.diagnose(tape, pipeline.Options(prove=prove), progress)
    except Exception as error:
        if os.environ.get("UNSTUCK_DEBUG"):
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        raise Unsaid(f"the examination failed: {type(error).__name__}: {first}") from None


def _home(target: Target) -> Path:
    """The folder that the paths of a report and its patch start from, as the recorder has it."""
    return Path.cwd() if target.path is None else Path(target.path).resolve().parent


def _of_tape(options: argparse.Namespace) -> tuple[Report, Path]:
    """The report on a tape that was recorded earlier, and the folder of its sources."""
    folder = Path(_loaded(Path(options.tape)).folder)
    try:
        return _diagnosed(Path(options.tape)), folder
    except Unsaid as end:
        raise Refused(str(end)) from None


def _loaded(folder: Path) -> Any:
    from unstuck.tape import TapeError, load

    try:
        return load(folder)
    except TapeError as error:
        raise Refused(str(error)) from None


def _code(report: Report) -> int:
    if any(f.role == "cause" or f.severity != "hint" for f in report.findings):
        return SICK
    return UNSAID if failed(report) or not report.steps else WELL


def _show(report: Report, options: argparse.Namespace, folder: Path, target: str = "") -> None:
    from unstuck.report import terminal

    paper = {**_paper(sys.stderr), "folder": folder}
    # An empty line sets the report off from what the script printed last.
    text = (
        terminal.verdict(report, **paper) if options.quiet else "\n" + terminal.render(report, **paper, target=target)
    )
    sys.stderr.write(text)
    sys.stderr.flush()


def _write_json(report: Report, options: argparse.Namespace) -> None:
    from unstuck.report import as_json

    if options.json == "-":
        sys.stdout.write(as_json.render(report))
    elif options.json is not None:
        _written(Path(options.json), as_json.render(report))


def _write_patch(report: Report, options: argparse.Namespace, folder: Path) -> None:
    diff = report.patch.diff if report.patch is not None else ""
    # A patch of an earlier run must not be taken for this one's.
    if options.patch is not None and (diff or Path(options.patch).exists()):
        _written(Path(options.patch), diff)
    if options.write and diff:
        try:
            changed = patch.apply(diff, folder)
        except (patch.PatchError, OSError) as error:
            _told(f"the patch was not applied: {error}", MISUSED)
        else:
            _told("changed " + ", ".join(map(str, changed)) + " (the original stays beside it as .orig)", SICK)


def _written(path: Path, text: str) -> bool:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        _told(f"{path} could not be written: {error.strerror}", MISUSED)
        return False
    return True


def _told(line: str, code: int) -> int:
    print(f"unstuck: {line}", file=sys.stderr)
    return code


def _paper(stream: TextIO) -> dict[str, Any]:
    """How wide and how colourful a text for this stream may be, and whether it may leave ASCII."""
    terminal = stream.isatty()
    return {
        "width": min(shutil.get_terminal_size((100, 24)).columns, 120) if terminal else 100,
        "colour": terminal and "NO_COLOR" not in os.environ,
        "ascii": not (stream.encoding or "").lower().startswith("utf"),
    }


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "tape"


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is being done; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("examining the tape") as status:
        yield status.update


class _Lines:
    """Progress for a file or a pipe: a line every so often, with the share done and the time left."""

    EVERY = 20.0
    """Seconds."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def __call__(self, share: float, what: str) -> None:
        now = time.monotonic()
        if now - self.last < self.EVERY or not 0 < share < 1:
            return
        self.last = now
        left = (now - self.began) * (1 - share) / share
        print(f"unstuck: {100 * share:.0f} % done, about {left:.0f} s left: {what}", file=sys.stderr, flush=True)


@contextmanager
def _bar() -> Iterator[Callable[[float, str], None]]:
    """A bar on stderr with the time left; a line now and then where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), "left", TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("starting", total=1.0)
        yield lambda share, what: shown.update(task, completed=share, description=what)
