"""The verbs `fit`, `predict` and `export`: one function each, returning an exit code."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from unstuck.cli import parser
from unstuck.cli.parser import Refused
from unstuck.cli.terminal import INTERRUPTED, MISUSED, WELL, paper, told, written
from unstuck.tabular.extras import MissingExtra, needed_by


def fit(options: argparse.Namespace) -> int:
    """Train on a table, evaluate, report, save the model."""
    with _one_line("fit", "the training"):
        return _fit(options)


def predict(options: argparse.Namespace) -> int:
    """Write a fitted model's predictions for the rows of a table."""
    for path in (options.out, options.html):
        parser.check_output(path)
    try:
        with _one_line("predict", "the prediction"):
            from unstuck.tabular.fit.prediction import predict as predicted

            rows = predicted(options, sys.stdout, lambda line: print(f"unstuck: {line}", file=sys.stderr))
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WELL
    return WELL if options.out is None else told(f"{rows:,} rows predicted in {options.out}", WELL)


def export(options: argparse.Namespace) -> int:
    """Write a fitted model as an ONNX file."""
    parser.check_output(options.onnx)
    with _one_line("export", "the export"):
        from unstuck.tabular.fit.export.saved import export as exported

        return told(exported(options), WELL)


def _fit(options: argparse.Namespace) -> int:
    from unstuck.tabular.fit import command, plots
    from unstuck.tabular.fit.progress import Progress

    for path in (options.model, options.json, options.plot, options.html):
        parser.check_output(path)
    plots.check(options.plot)
    live = sys.stderr.isatty() and not options.quiet
    progress = Progress(sys.stderr, live, shutil.get_terminal_size((100, 24)).columns, options.quiet)
    try:
        fitted = command.fit(options, progress)
    except command.Interrupted as left:
        return told(str(left), INTERRUPTED)
    except KeyboardInterrupt:
        return told("interrupted before there was anything to save", INTERRUPTED)
    return _show_fitted(fitted, options)


@contextmanager
def _one_line(verb: str, what: str) -> Iterator[None]:
    """Raise every error inside as one line; UNSTUCK_DEBUG=1 prints the traceback of an unexpected one."""
    expected: tuple[type[Exception], ...] = ()
    try:
        with needed_by(verb):
            from unstuck.tabular.fit.refusal import CannotFit
            from unstuck.tabular.fit.store import ModelError
            from unstuck.tabular.tables.refusal import TableError

            expected = (TableError, ModelError, CannotFit)
            yield
    except (Refused, BrokenPipeError):
        raise
    except MissingExtra as error:
        raise Refused(str(error)) from None
    except Exception as error:
        if isinstance(error, expected):
            raise Refused(str(error)) from None
        if os.environ.get("UNSTUCK_DEBUG"):
            traceback.print_exc()
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise Refused(f"{what} failed: {(str(why).splitlines() or [''])[0]}") from None


def _show_fitted(fitted: Any, options: argparse.Namespace) -> int:
    from unstuck.tabular.fit import plots, report

    if options.json == "-":
        sys.stdout.write(_json(fitted))
    else:
        sys.stdout.write(report.verdict(fitted) if options.quiet else report.render(fitted, **paper(sys.stdout)))
    done = options.json in (None, "-") or written(Path(options.json), _json(fitted))
    if options.plot is not None:
        done = _drawn(partial(plots.draw, fitted), options.plot) and done
    if options.html is not None:
        done = _drawn(fitted.explanation.html, options.html) and done
    return WELL if done else MISUSED


def _drawn(draw: Callable[[Path], None], path: str) -> bool:
    try:
        draw(Path(path))
    except OSError as error:
        told(f"{path} could not be written: {error.strerror}", MISUSED)
        return False
    return True


def _json(fitted: Any) -> str:
    return json.dumps(fitted.plain(), indent=1, ensure_ascii=False) + "\n"
